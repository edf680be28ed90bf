/** Shards that are made in a folder, and remembered in a journal as soon as they are on the disk. */
import { fsyncSync, openSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, isApplyDeltaError } from "../errors.js";
import {
  closeShardFile,
  createShardFile,
  type FixedPiece,
  type ShardFile,
  syncShardFile,
} from "../files/output-file.js";
import { onTarget, thenClose } from "../files/write-errors.js";
import type { Claim } from "./claim.js";
import type { Finding } from "./findings.js";
import { type Journal, recordFiles, recordShard } from "./journal.js";

/** What systems say that can't sync a folder: Windows, and some file systems. */
const NO_SYNC = new Set(["EISDIR", "EPERM", "EACCES", "EINVAL", "ENOTSUP"]);

/** What was there when a run began. */
export interface Beginning {
  /** Null where nothing is left to be done. */
  readonly claim: Claim | null;
  /** The journal to go on with. */
  readonly journal: string;
  /** What is kept of earlier runs. */
  readonly kept: Pick<Journal, "finished" | "findings"> | null;
  /** Every file that earlier runs made in the folder, or were about to. */
  readonly files: Iterable<string>;
  readonly isDurable: boolean;
}

export class StagedShards {
  /** File names of shards that an earlier run finished. */
  readonly kept: ReadonlySet<string>;
  /** What that run counted in them. */
  readonly keptFindings: readonly Finding[];
  protected readonly claim: Claim | null;
  protected readonly journal: string;
  protected readonly isDurable: boolean;
  protected readonly finished: Set<string>;
  /** What this run and earlier ones made in the folder, or were about to make; nothing else is ever removed. */
  readonly #ours: Set<string>;
  readonly #open = new Map<string, ShardFile>();

  constructor(
    readonly folder: string,
    { claim, journal, kept, files, isDurable }: Beginning,
  ) {
    this.claim = claim;
    this.journal = journal;
    this.kept = kept?.finished ?? new Set();
    this.keptFindings = this.kept.size > 0 ? (kept?.findings ?? []) : [];
    this.finished = new Set(this.kept);
    this.#ours = new Set(files);
    this.isDurable = isDurable;
  }

  /** Writes down the names of files before they are made, so that whoever finds them knows whose they are. */
  protected announce(names: readonly string[]): void {
    const unknown = names.filter((name) => !this.#ours.has(name));
    if (unknown.length === 0) return;
    recordFiles(this.journal, unknown);
    for (const name of unknown) this.#ours.add(name);
  }

  /** Creates a file of its final length with the pieces in it; it stays open until the end. */
  createFile(name: string, byteLength: number, pieces: readonly FixedPiece[]): ShardFile {
    this.announce([name]);
    const { isDurable } = this;
    const file = createShardFile(join(this.folder, name), byteLength, pieces, { isDurable });
    this.#open.set(name, file);
    return file;
  }

  /** Makes a shard whose last byte is written durable, and remembers it, and what was counted in it. */
  async finishFile(name: string, findings: readonly Finding[]): Promise<void> {
    const file = this.#open.get(name);
    if (file === undefined || !this.isDurable) return;
    await syncShardFile(file);
    // The run may have ended meanwhile.
    if (!this.#open.has(name)) return;
    this.sync(this.folder);
    this.claim?.assertHeld();
    recordShard(this.journal, this.folder, name, findings);
    this.finished.add(name);
  }

  protected get openFiles(): ReadonlyMap<string, ShardFile> {
    return this.#open;
  }

  protected closeAll(): void {
    for (const [name, file] of this.#open) {
      this.#open.delete(name);
      closeShardFile(file);
    }
  }

  protected removeOurs(kept: ReadonlySet<string> = new Set()): void {
    for (const name of onTarget(this.folder, () => readdirSync(this.folder))) {
      if (!this.#ours.has(name) || kept.has(name)) continue;
      const path = join(this.folder, name);
      onTarget(path, () => rmSync(path));
    }
    // A journal that is begun anew doesn't name them.
    for (const name of this.#ours) if (!kept.has(name)) this.#ours.delete(name);
  }

  /** Waits until a folder's entries are on the disk. */
  protected sync(path: string): void {
    if (!this.isDurable) return;
    try {
      const fd = onTarget(path, () => openSync(path, "r"));
      thenClose(fd, path, () => onTarget(path, () => fsyncSync(fd)));
    } catch (error) {
      if (!isApplyDeltaError(error) || !NO_SYNC.has(errnoOf(error.details.cause) ?? "")) throw error;
    }
  }
}
