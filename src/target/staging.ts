/**
 * The folder beside the target in which it is made, and which becomes the target by one rename. Until then the old
 * target is there. Shards that are finished outlive a run that fails or is killed: a later run of the same merge keeps
 * them.
 */
import { lstatSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { isApplyDeltaError } from "../errors.js";
import type { LockOptions } from "../files/lock.js";
import { readAssetBytes } from "../files/small-file.js";
import { onTarget, quietly, writeNewFile } from "../files/write-errors.js";
import type { Asset } from "../llama/assets.js";
import type { Claim } from "./claim.js";
import { stagingPathOf } from "./describe.js";
import {
  type Fingerprint,
  fingerprintChanges,
  type Journal,
  joinJournals,
  recordPublishing,
  startJournal,
} from "./journal.js";
import { publish, type Replaced, tidyUp } from "./publish.js";
import { publishFiles } from "./publish-files.js";
import { StagedShards } from "./staged-shards.js";
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
  /** Only complete what parts have made: all of them must be. */
  readonly isLast?: boolean | undefined;
}

export class Staging extends StagedShards {
  /** How many an earlier run had finished that were thrown away. */
  readonly discarded: number;
  /** The parts of the fingerprint for which they were; none where that was asked for. */
  readonly changed: readonly string[];
  /** Whether an earlier run had published the target, whole, and nothing is left to be done. */
  readonly isPublished: boolean;
  readonly #target: string;
  readonly #options: StagingOptions;
  readonly #earlier: Journal | null;
  /** Whether the folder is no longer this run's to tidy up: published, suspended or discarded. */
  #isOver: boolean;

  constructor(target: string, claim: Claim | null, earlier: Journal | null, options: StagingOptions) {
    const folder = claim === null ? target : stagingPathOf(target);
    const changed = earlier === null ? [] : fingerprintChanges(earlier.fingerprint, options.fingerprint);
    const kept = changed.length > 0 || options.restart ? null : earlier;
    const journal = join(folder, JOURNAL);
    super(folder, { claim, journal, kept, files: earlier?.files ?? [], isDurable: options.sync ?? true });
    this.#target = target;
    this.isPublished = claim === null;
    this.#isOver = this.isPublished;
    this.#options = options;
    this.#earlier = earlier;
    const found = earlier?.finished.size ?? 0;
    this.discarded = this.kept.size === 0 ? found : 0;
    this.changed = found > 0 ? changed : [];
  }

  /** Makes the folder ready. */
  begin(): void {
    if (this.#earlier !== null) joinJournals(this.journal, this.#earlier);
    this.removeOurs(this.kept);
    if (this.kept.size === 0) startJournal(this.journal, { fingerprint: this.#options.fingerprint });
    // One that was begun is none any more: the folder is worked in again.
    else recordPublishing(this.journal, null);
    this.announce(this.#options.shards);
  }

  writeFile(name: string, content: string | Uint8Array): void {
    this.announce([name]);
    writeNewFile(join(this.folder, name), content, this.isDurable);
  }

  writeAssets(assets: readonly Asset[]): void {
    this.announce(assets.map(({ fileName }) => fileName));
    for (const asset of assets) {
      const content = "text" in asset ? asset.text : readAssetBytes(asset.copyFrom);
      this.writeFile(asset.fileName, content);
    }
  }

  /** Publishes the folder as the target. What fails once that is there, whole, is a line for the user. */
  async commit(): Promise<string | null> {
    const claim = this.claim;
    if (claim === null) return null;
    this.closeAll();
    this.sync(this.folder);
    claim.assertHeld();
    const { overwrite = false, files = null } = this.#options;
    let replaced: Replaced | null = null;
    if (files !== null) publishFiles(this.folder, this.#target, files, overwrite);
    else {
      replaced = await publish(this.folder, this.#target, overwrite, this.journal);
      claim.moveTo(this.#target);
    }
    this.#isOver = true;
    const place = files === null ? this.#target : this.folder;
    try {
      // The old one goes when the new one is sure to stay.
      this.sync(dirname(this.#target));
      await tidyUp(place, replaced, claim);
      if (files === null) this.sync(place);
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
    if (this.#isOver || this.finished.size === 0) {
      this.discard();
      return 0;
    }
    this.#end(() => this.removeOurs(this.finished));
    return this.finished.size;
  }

  /** Removes the folder and every parent that was made for it, finished shards and all. Never throws. */
  discard(): void {
    this.#end(() => {
      // The mark goes last, so that a run that is killed here leaves a folder that is known as ours.
      this.removeOurs();
      onTarget(this.journal, () => rmSync(this.journal, { force: true }));
    });
    this.claim?.removeFolders();
  }

  #end(remove: () => void): void {
    while (this.openFiles.size > 0) quietly(() => this.closeAll());
    if (this.#isOver) return;
    this.#isOver = true;
    quietly(remove);
    if (this.claim !== null) quietly(this.claim.release);
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
