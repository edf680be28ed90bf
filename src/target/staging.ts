/**
 * In: a checked target path. Out: a folder beside it to work in, which becomes the target by one rename.
 * Guards: a target appears whole or not at all, and what was at the target before is there until then. Shards that
 * are finished outlive a run that fails or is killed; a later run of the same merge keeps them. One run at a time.
 */
import {
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ApplyDeltaError, errnoOf, isApplyDeltaError } from "../errors.js";
import { onSource } from "../files/local-file.js";
import { type Lock, takeLock } from "../files/lock.js";
import {
  closeShardFile,
  createShardFile,
  type FixedPiece,
  type ShardFile,
  syncShardFile,
} from "../files/output-file.js";
import { onTarget, quietly, thenClose, writeNewFile } from "../files/write-errors.js";
import {
  type Fingerprint,
  fingerprintChanges,
  type LostElements,
  readJournal,
  recordReplaced,
  recordShard,
  startJournal,
} from "./journal.js";
import { publish, restoreReplaced, takeUpPublished } from "./publish.js";
import { JOURNAL, LOCK, stagingPathOf, targetExists } from "./target.js";

export interface StagingOptions {
  /** What the target is made of: shards are kept for the same only. */
  readonly fingerprint: Fingerprint;
  /** Whether to throw away what an earlier run finished. */
  readonly restart: boolean;
  /**
   * Whether everything is on the disk when the target appears. If not, that is left to the system, and no shard is
   * remembered: after a power failure one could be remembered that was never written.
   */
  readonly isDurable: boolean;
  /** Whether a target that isn't empty may be replaced. */
  readonly overwrite: boolean;
}

export interface Staging {
  readonly folder: string;
  /** File names of shards that an earlier run finished. */
  readonly kept: ReadonlySet<string>;
  /** What that run counted in them. */
  readonly keptLosses: readonly LostElements[];
  /** How many an earlier run had finished that were thrown away. */
  readonly discarded: number;
  /** The parts of the fingerprint for which they were; none where that was asked for. */
  readonly changed: readonly string[];
  /** Creates a file of its final length with the pieces in it; it stays open until the end. */
  createFile(name: string, byteLength: number, pieces: readonly FixedPiece[]): ShardFile;
  /** Makes a shard whose last byte is written durable, and remembers it and what was counted in it. */
  finishFile(name: string, losses: readonly LostElements[]): Promise<void>;
  writeText(name: string, text: string): void;
  copyFile(source: string, name: string): void;
  /**
   * Publishes the folder as the target. What fails after that is no failure of the merge: the target is there, whole.
   * Then it returns a line for the user, and null otherwise.
   */
  commit(): string | null;
  /**
   * Ends without a target: keeps the finished shards for a later run and removes the rest; where there is none,
   * removes the folder and every parent that was made for it. Returns how many shards are kept. Never throws: it is
   * called with an error under way, and what it can't remove the next run removes.
   */
  suspend(): number;
  /** Removes the folder and every parent that was made for it, finished shards and all. Never throws. */
  discard(): void;
}

/** Errors: `target-exists` (the folder isn't ours or a run works in it), `target-unwritable`, `no-space`. */
export function openStaging(target: string, options: StagingOptions): Staging {
  const folder = stagingPathOf(target);
  const parent = dirname(target);
  const journal = join(folder, JOURNAL);
  takeUpPublished(target, folder, options);
  const madeParent = onTarget(parent, () => mkdirSync(parent, { recursive: true }));
  const removeMadeParents = () => {
    if (madeParent !== undefined) quietly(() => removeEmptyParents(parent, madeParent));
  };
  const lock = inNewFolder(folder, removeMadeParents, () => takeLock(join(folder, LOCK)));
  const earlier = orRelease(lock, join(folder, LOCK), () => readJournal(journal, folder));
  const changed = earlier === null ? [] : fingerprintChanges(earlier.fingerprint, options.fingerprint);
  const kept =
    earlier === null || changed.length > 0 || options.restart ? new Set<string>() : earlier.finished;
  const finished = new Set(kept);
  const open = new Map<string, ShardFile>();
  const closeAll = () => {
    for (const [name, file] of open) {
      open.delete(name);
      closeShardFile(file);
    }
  };
  let isOver = false;
  const end = (remove: () => void) => {
    while (open.size > 0) quietly(closeAll);
    if (isOver) return;
    isOver = true;
    quietly(remove);
    quietly(() => lock.release(join(folder, LOCK)));
  };
  const discard = () => {
    end(() => {
      // The mark goes last, so that a run that is killed here leaves a folder that is known as ours.
      removeAllBut(folder, new Set([JOURNAL, LOCK]));
      onTarget(journal, () => rmSync(journal, { force: true }));
    });
    quietly(() => rmdirSync(folder));
    removeMadeParents();
  };
  const suspend = () => {
    if (isOver || finished.size === 0) {
      discard();
      return 0;
    }
    end(() => removeAllBut(folder, new Set([...finished, JOURNAL, LOCK])));
    return finished.size;
  };
  const sync = (path: string) => {
    if (options.isDurable) syncPath(path);
  };
  try {
    if (restoreReplaced(target, earlier?.replaced ?? null) && !options.overwrite) throw targetExists(target);
    removeAllBut(folder, new Set([...kept, JOURNAL, LOCK]));
    if (kept.size === 0) startJournal(journal, options.fingerprint);
  } catch (error) {
    suspend();
    throw error;
  }
  return {
    folder,
    kept,
    keptLosses: kept.size > 0 ? (earlier?.losses ?? []) : [],
    discarded: earlier !== null && kept.size === 0 ? earlier.finished.size : 0,
    changed: earlier !== null && earlier.finished.size > 0 ? changed : [],
    createFile(name, byteLength, pieces) {
      const file = createShardFile(join(folder, name), byteLength, pieces, { isDirect: options.isDurable });
      open.set(name, file);
      return file;
    },
    async finishFile(name, losses) {
      const file = open.get(name);
      if (file === undefined || !options.isDurable) return;
      await syncShardFile(file);
      // The run may have ended meanwhile.
      if (!open.has(name)) return;
      sync(folder);
      recordShard(journal, folder, name, losses);
      finished.add(name);
    },
    writeText(name, text) {
      writeNewFile(join(folder, name), text, options.isDurable);
    },
    copyFile(source, name) {
      writeNewFile(
        join(folder, name),
        onSource(source, () => readFileSync(source)),
        options.isDurable,
      );
    },
    commit() {
      closeAll();
      sync(folder);
      const aside = publish(folder, target, {
        overwrite: options.overwrite,
        announce: (name) => recordReplaced(journal, name),
      });
      isOver = true;
      try {
        // The old one goes when the new one is sure to stay, and the mark last: until then the next run can tidy up.
        sync(parent);
        if (aside !== null) onTarget(aside, () => rmSync(aside, { recursive: true }));
        lock.release(join(target, LOCK));
        onTarget(target, () => rmSync(join(target, JOURNAL), { force: true }));
        sync(target);
        return null;
      } catch (error) {
        quietly(() => lock.release(join(target, LOCK)));
        if (!isApplyDeltaError(error)) throw error;
        return `the target is made, but not what comes after: ${error.message} (${error.details.file}). Run the same command again to tidy up.`;
      }
    },
    suspend,
    discard,
  };
}

/** Bytes of the disk that an earlier run's folder holds: they will be kept as they are or freed. */
export function stagedBytes(target: string): number {
  const folder = stagingPathOf(target);
  const stat = onTarget(folder, () => lstatSync(folder, { throwIfNoEntry: false }));
  const names = stat?.isDirectory() === true ? onTarget(folder, () => readdirSync(folder)) : [];
  if (!names.includes(JOURNAL)) return 0;
  return names.reduce(
    (sum, name) => sum + onTarget(folder, () => lstatSync(join(folder, name)).blocks * 512),
    0,
  );
}

/** Makes the folder, or sees that it is ours, and takes the lock in it; leaves nothing behind where that fails. */
function inNewFolder<T>(folder: string, removeMadeParents: () => void, takeIt: () => T): T {
  let isNew = false;
  try {
    isNew = makeFolder(folder);
    return takeIt();
  } catch (error) {
    if (isNew) quietly(() => rmSync(folder, { recursive: true, force: true }));
    removeMadeParents();
    throw error;
  }
}

function orRelease<T>(lock: Lock, path: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    quietly(() => lock.release(path));
    throw error;
  }
}

/** False where it is there already and ours, or empty. */
function makeFolder(folder: string): boolean {
  const stat = onTarget(folder, () => lstatSync(folder, { throwIfNoEntry: false }));
  if (stat === undefined) {
    onTarget(folder, () => mkdirSync(folder));
    return true;
  }
  const names = stat.isDirectory() ? onTarget(folder, () => readdirSync(folder)) : [folder];
  if (names.includes(JOURNAL) || names.every((name) => name.startsWith(LOCK))) return false;
  throw new ApplyDeltaError("target-exists", "The folder to work in exists already and isn't this tool's.", {
    file: folder,
    hint: "Move it away or choose another folder.",
  });
}

function removeAllBut(folder: string, names: ReadonlySet<string>): void {
  for (const name of onTarget(folder, () => readdirSync(folder))) {
    if (!names.has(name)) onTarget(folder, () => rmSync(join(folder, name), { recursive: true }));
  }
}

/** What systems say that can't sync a folder: Windows, and some file systems. */
const NO_SYNC = new Set(["EISDIR", "EPERM", "EACCES", "EINVAL", "ENOTSUP"]);

/** Waits until a file or a folder's entries are on the disk. */
function syncPath(path: string): void {
  try {
    const fd = onTarget(path, () => openSync(path, "r"));
    thenClose(fd, path, () => onTarget(path, () => fsyncSync(fd)));
  } catch (error) {
    if (!isApplyDeltaError(error) || !NO_SYNC.has(errnoOf(error.details.cause) ?? "")) throw error;
  }
}

function removeEmptyParents(from: string, last: string): void {
  for (let folder = from; folder.startsWith(last); folder = dirname(folder)) {
    if (readdirSync(folder).length > 0) return;
    rmdirSync(folder);
  }
}
