/**
 * The folder beside the target in which it is made, and which becomes the target by one rename. Until then the old
 * target is there. Shards that are finished outlive a run that fails or is killed: a later run of the same merge keeps
 * them.
 */
import { fsyncSync, lstatSync, openSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf, isApplyDeltaError } from "../errors.js";
import type { LockOptions } from "../files/lock.js";
import {
  closeShardFile,
  createShardFile,
  type FixedPiece,
  type ShardFile,
  syncShardFile,
} from "../files/output-file.js";
import { readAssetBytes } from "../files/small-file.js";
import { onTarget, quietly, thenClose, writeNewFile } from "../files/write-errors.js";
import type { Asset } from "../llama/assets.js";
import type { Claim } from "./claim.js";
import { stagingPathOf } from "./describe.js";
import type { Finding } from "./findings.js";
import {
  type Fingerprint,
  fingerprintChanges,
  type Journal,
  recordFiles,
  recordPublishing,
  recordShard,
  startJournal,
} from "./journal.js";
import { publish, type Replaced, tidyUp } from "./publish.js";
import { publishFiles } from "./publish-files.js";
import { JOURNAL } from "./target.js";

export interface StagingOptions extends LockOptions {
  /** What the target is made of: shards of an interrupted run are kept for the same only. */
  readonly fingerprint: Fingerprint;
  /** File names of all that will be made with `createFile`. */
  readonly shards: readonly string[];
  /** Throw away what an interrupted run has finished. */
  readonly restart?: boolean | undefined;
  /**
   * Have everything on the disk when the target appears; default true. Without it no shard is remembered: after a power
   * failure one could be remembered that was never written.
   */
  readonly sync?: boolean | undefined;
  /** Replace a target that isn't empty. */
  readonly overwrite?: boolean | undefined;
  /** The names of the files to make beside each other, the main one last; null where the folder is the target. */
  readonly files?: readonly string[] | null;
}

/** What systems say that can't sync a folder: Windows, and some file systems. */
const NO_SYNC = new Set(["EISDIR", "EPERM", "EACCES", "EINVAL", "ENOTSUP"]);

export class Staging {
  readonly folder: string;
  /** File names of shards that an earlier run finished. */
  readonly kept: ReadonlySet<string>;
  /** What that run counted in them. */
  readonly keptFindings: readonly Finding[];
  /** How many an earlier run had finished that were thrown away. */
  readonly discarded: number;
  /** The parts of the fingerprint for which they were; none where that was asked for. */
  readonly changed: readonly string[];
  /** Whether an earlier run had published the target, whole, and nothing is left to be done. */
  readonly isPublished: boolean;
  readonly #target: string;
  /** Null where nothing is left to be done. */
  readonly #claim: Claim | null;
  readonly #journal: string;
  readonly #options: StagingOptions;
  readonly #isDurable: boolean;
  readonly #finished: Set<string>;
  /** What this run and earlier ones made in the folder, or were about to make; nothing else is ever removed. */
  readonly #ours: Set<string>;
  readonly #open = new Map<string, ShardFile>();
  /** Whether the folder is no longer this run's to tidy up: published, suspended or discarded. */
  #isOver: boolean;

  constructor(target: string, claim: Claim | null, earlier: Journal | null, options: StagingOptions) {
    this.#target = target;
    this.#claim = claim;
    this.isPublished = claim === null;
    this.#isOver = this.isPublished;
    this.#options = options;
    this.#isDurable = options.sync ?? true;
    this.folder = this.isPublished ? target : stagingPathOf(target);
    this.#journal = join(this.folder, JOURNAL);
    const finished = earlier?.finished ?? new Set<string>();
    const changed = earlier === null ? [] : fingerprintChanges(earlier.fingerprint, options.fingerprint);
    this.kept = changed.length > 0 || options.restart ? new Set() : finished;
    this.keptFindings = this.kept.size > 0 ? (earlier?.findings ?? []) : [];
    this.discarded = this.kept.size === 0 ? finished.size : 0;
    this.changed = finished.size > 0 ? changed : [];
    this.#finished = new Set(this.kept);
    this.#ours = new Set(earlier?.files);
  }

  /** Makes the folder ready. */
  begin(): void {
    this.#removeOurs(this.kept);
    if (this.kept.size === 0) startJournal(this.#journal, this.#options.fingerprint);
    // One that was begun is none any more: the folder is worked in again.
    else recordPublishing(this.#journal, null);
    this.#announce(this.#options.shards);
  }

  /** Writes down the names of files before they are made, so that whoever finds them knows whose they are. */
  #announce(names: readonly string[]): void {
    const unknown = names.filter((name) => !this.#ours.has(name));
    if (unknown.length === 0) return;
    recordFiles(this.#journal, unknown);
    for (const name of unknown) this.#ours.add(name);
  }

  /** Creates a file of its final length with the pieces in it; it stays open until the end. */
  createFile(name: string, byteLength: number, pieces: readonly FixedPiece[]): ShardFile {
    this.#announce([name]);
    const isDirect = this.#isDurable;
    const file = createShardFile(join(this.folder, name), byteLength, pieces, { isDirect });
    this.#open.set(name, file);
    return file;
  }

  /** Makes a shard whose last byte is written durable, and remembers it and what was counted in it. */
  async finishFile(name: string, findings: readonly Finding[]): Promise<void> {
    const file = this.#open.get(name);
    if (file === undefined || !this.#isDurable) return;
    await syncShardFile(file);
    // The run may have ended meanwhile.
    if (!this.#open.has(name)) return;
    this.#sync(this.folder);
    this.#claim?.assertHeld();
    recordShard(this.#journal, this.folder, name, findings);
    this.#finished.add(name);
  }

  writeFile(name: string, content: string | Uint8Array): void {
    this.#announce([name]);
    writeNewFile(join(this.folder, name), content, this.#isDurable);
  }

  writeAssets(assets: readonly Asset[]): void {
    this.#announce(assets.map(({ fileName }) => fileName));
    for (const asset of assets) {
      const content = "text" in asset ? asset.text : readAssetBytes(asset.copyFrom);
      this.writeFile(asset.fileName, content);
    }
  }

  /** Publishes the folder as the target. What fails once that is there, whole, is a line for the user. */
  async commit(): Promise<string | null> {
    const claim = this.#claim;
    if (claim === null) return null;
    this.#closeAll();
    this.#sync(this.folder);
    claim.assertHeld();
    const { overwrite = false, files = null } = this.#options;
    let replaced: Replaced | null = null;
    if (files !== null) publishFiles(this.folder, this.#target, files, overwrite);
    else {
      replaced = await publish(this.folder, this.#target, overwrite, this.#journal);
      claim.moveTo(this.#target);
    }
    this.#isOver = true;
    const place = files === null ? this.#target : this.folder;
    try {
      // The old one goes when the new one is sure to stay.
      this.#sync(dirname(this.#target));
      await tidyUp(place, replaced, claim);
      if (files === null) this.#sync(place);
      else claim.removeFolders();
      return null;
    } catch (error) {
      quietly(claim.release);
      if (!isApplyDeltaError(error)) throw error;
      return `the target is whole, but tidying up failed: ${error.message} (${error.details.file}). Run the same command again to tidy up.`;
    }
  }

  /**
   * Ends without a target: keeps the finished shards for a later run, or removes all where there is none. Returns how
   * many are kept. Never throws: it is called with an error under way, and the next run removes what it can't.
   */
  suspend(): number {
    if (this.#isOver || this.#finished.size === 0) {
      this.discard();
      return 0;
    }
    this.#end(() => this.#removeOurs(this.#finished));
    return this.#finished.size;
  }

  /** Removes the folder and every parent that was made for it, finished shards and all. Never throws. */
  discard(): void {
    this.#end(() => {
      // The mark goes last, so that a run that is killed here leaves a folder that is known as ours.
      this.#removeOurs();
      onTarget(this.#journal, () => rmSync(this.#journal, { force: true }));
    });
    this.#claim?.removeFolders();
  }

  #end(remove: () => void): void {
    while (this.#open.size > 0) quietly(() => this.#closeAll());
    if (this.#isOver) return;
    this.#isOver = true;
    quietly(remove);
    if (this.#claim !== null) quietly(this.#claim.release);
  }

  #closeAll(): void {
    for (const [name, file] of this.#open) {
      this.#open.delete(name);
      closeShardFile(file);
    }
  }

  #removeOurs(kept: ReadonlySet<string> = new Set()): void {
    for (const name of onTarget(this.folder, () => readdirSync(this.folder))) {
      if (!this.#ours.has(name) || kept.has(name)) continue;
      const path = join(this.folder, name);
      onTarget(path, () => rmSync(path));
    }
  }

  /** Waits until a folder's entries are on the disk. */
  #sync(path: string): void {
    if (!this.#isDurable) return;
    try {
      const fd = onTarget(path, () => openSync(path, "r"));
      thenClose(fd, path, () => onTarget(path, () => fsyncSync(fd)));
    } catch (error) {
      if (!isApplyDeltaError(error) || !NO_SYNC.has(errnoOf(error.details.cause) ?? "")) throw error;
    }
  }
}

/** Bytes of the disk that an earlier run's folder holds: they will be kept as they are or freed. */
export function stagedBytes(target: string): number {
  const folder = stagingPathOf(target);
  return onTarget(folder, () => {
    const isFolder = lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
    const names = isFolder ? readdirSync(folder) : [];
    if (!names.includes(JOURNAL)) return 0;
    return names.reduce((sum, name) => sum + lstatSync(join(folder, name)).blocks * 512, 0);
  });
}
