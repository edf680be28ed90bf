/**
 * In: a checked target path. Out: a folder beside it to work in, which becomes the target by one rename.
 * Guards: a target appears whole or not at all, and what was at the target before is there until then. Shards that
 * are finished outlive a run that fails or is killed; a later run of the same merge keeps them. One run at a time.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ApplyDeltaError, errnoOf } from "../errors.js";
import { type Fingerprint, readJournal, recordShard, startJournal } from "./journal.js";
import { takeLock } from "./lock.js";
import {
  closeShardFile,
  createShardFile,
  type FixedPiece,
  type ShardFile,
  syncShardFile,
} from "./shard-file.js";
import { stagingPathOf } from "./target.js";
import { onTarget } from "./target-error.js";

/** Marks a folder as ours, so that what is in it may be removed, and records what is finished. */
const JOURNAL = ".vicuna-apply-delta";

const LOCK = ".vicuna-apply-delta.lock";

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
}

export interface Staging {
  readonly folder: string;
  /** File names of shards that an earlier run finished. */
  readonly kept: ReadonlySet<string>;
  /** The parts of the fingerprint for which an earlier run's shards were thrown away. */
  readonly changed: readonly string[];
  /** Creates a file of its final length with the pieces in it; it stays open until the end. */
  createFile(name: string, byteLength: number, pieces: readonly FixedPiece[]): ShardFile;
  /** Makes a shard whose last byte is written durable, and remembers it. */
  finishFile(name: string): Promise<void>;
  writeText(name: string, text: string): void;
  copyFile(source: string, name: string): void;
  /** Publishes the folder as the target. */
  commit(): void;
  /**
   * Ends without a target: keeps the finished shards for a later run and removes the rest; where there is none,
   * removes the folder and every parent that was made for it. Returns how many shards are kept.
   */
  suspend(): number;
  /** Removes the folder and every parent that was made for it, finished shards and all. */
  discard(): void;
}

/** Errors: `target-exists` (the folder isn't ours or a run works in it), `target-unwritable`, `no-space`. */
export function openStaging(target: string, options: StagingOptions): Staging {
  const folder = stagingPathOf(target);
  const parent = dirname(target);
  const madeParent = onTarget(parent, () => mkdirSync(parent, { recursive: true }));
  const removeMadeParents = () => {
    if (madeParent !== undefined) removeEmptyParents(parent, madeParent);
  };
  const lock = inNewFolder(folder, removeMadeParents, () => takeLock(join(folder, LOCK)));
  const journal = join(folder, JOURNAL);
  const earlier = readJournal(journal, folder);
  const changed = earlier === null ? [] : differences(earlier.fingerprint, options.fingerprint);
  const kept =
    earlier === null || changed.length > 0 || options.restart ? new Set<string>() : earlier.finished;
  const finished = new Set(kept);
  const open = new Map<string, ShardFile>();
  const closeAll = () => {
    for (const file of open.values()) closeShardFile(file);
    open.clear();
  };
  let isOver = false;
  const discard = () => {
    closeAll();
    if (isOver) return;
    isOver = true;
    rmSync(folder, { recursive: true, force: true });
    lock.release(join(folder, LOCK));
    removeMadeParents();
  };
  const sync = (path: string) => {
    if (options.isDurable) syncPath(path);
  };
  try {
    removeAllBut(folder, new Set([...kept, JOURNAL, LOCK]));
    if (kept.size === 0) startJournal(journal, options.fingerprint);
  } catch (error) {
    discard();
    throw error;
  }
  return {
    folder,
    kept,
    changed: earlier !== null && earlier.finished.size > 0 ? changed : [],
    createFile(name, byteLength, pieces) {
      const file = createShardFile(join(folder, name), byteLength, pieces, { isDirect: options.isDurable });
      open.set(name, file);
      return file;
    },
    async finishFile(name) {
      const file = open.get(name);
      if (file === undefined || !options.isDurable) return;
      await syncShardFile(file);
      // The run may have ended meanwhile.
      if (!open.has(name)) return;
      sync(folder);
      recordShard(journal, folder, name);
      finished.add(name);
    },
    writeText(name, text) {
      const path = join(folder, name);
      onTarget(path, () => writeFileSync(path, text, { flag: "wx" }));
      sync(path);
    },
    copyFile(source, name) {
      const path = join(folder, name);
      onTarget(path, () => copyFileSync(source, path));
      sync(path);
    },
    commit() {
      closeAll();
      sync(folder);
      publish(folder, target);
      isOver = true;
      // Last, so that a run killed here leaves a whole model, with hidden files too many.
      onTarget(target, () => rmSync(join(target, JOURNAL), { force: true }));
      lock.release(join(target, LOCK));
      sync(target);
      sync(parent);
    },
    suspend() {
      if (isOver || finished.size === 0) {
        discard();
        return 0;
      }
      closeAll();
      isOver = true;
      removeAllBut(folder, new Set([...finished, JOURNAL, LOCK]));
      lock.release(join(folder, LOCK));
      return finished.size;
    },
    discard,
  };
}

/** Bytes of the disk that an earlier run's folder holds: they will be kept as they are or freed. */
export function stagedBytes(target: string): number {
  const folder = stagingPathOf(target);
  if (!existsSync(join(folder, JOURNAL))) return 0;
  const names = onTarget(folder, () => readdirSync(folder));
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
    if (isNew) rmSync(folder, { recursive: true, force: true });
    removeMadeParents();
    throw error;
  }
}

/** False where it is there already and ours, or empty. */
function makeFolder(folder: string): boolean {
  const stat = onTarget(folder, () => lstatSync(folder, { throwIfNoEntry: false }));
  if (stat === undefined || stat.isSymbolicLink()) {
    onTarget(folder, () => mkdirSync(folder));
    return true;
  }
  const names = stat.isDirectory() ? onTarget(folder, () => readdirSync(folder)) : [folder];
  if (names.includes(JOURNAL) || names.every((name) => name === LOCK)) return false;
  throw new ApplyDeltaError("target-exists", "The folder to work in exists already and isn't this tool's.", {
    file: folder,
    hint: "Move it away or choose another --target.",
  });
}

function differences(a: Fingerprint, b: Fingerprint): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((part) => a[part] !== b[part]);
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
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    if (NO_SYNC.has(errnoOf(error) ?? "")) return;
    throw error;
  }
  try {
    onTarget(path, () => fsyncSync(fd));
  } catch (error) {
    if (!(error instanceof ApplyDeltaError) || !NO_SYNC.has(errnoOf(error.details.cause) ?? "")) throw error;
  } finally {
    closeSync(fd);
  }
}

/** One rename; a folder in its place is moved aside first and removed only when the new one is there. */
function publish(folder: string, target: string): void {
  if (!existsSync(target)) {
    onTarget(target, () => renameSync(folder, target));
    return;
  }
  if (readdirSync(target).length === 0) {
    onTarget(target, () => rmdirSync(target));
    onTarget(target, () => renameSync(folder, target));
    return;
  }
  const aside = `${target}.replaced-${process.pid}`;
  onTarget(target, () => renameSync(target, aside));
  try {
    renameSync(folder, target);
  } catch (error) {
    renameSync(aside, target);
    onTarget(target, () => {
      throw error;
    });
  }
  onTarget(aside, () => rmSync(aside, { recursive: true }));
}

function removeEmptyParents(from: string, last: string): void {
  for (let folder = from; folder.startsWith(last); folder = dirname(folder)) {
    if (readdirSync(folder).length > 0) return;
    rmdirSync(folder);
  }
}
