/**
 * In: a plan and the files beside the weights. Out: the target folder, whole, or an error and none.
 * Every command that makes a model or a delta goes through here: staging, execution, assets, records, verification, commit.
 */

import { dirname } from "node:path";
import { ApplyDeltaError, type ErrorCode, EXIT, errnoOf, isApplyDeltaError } from "../errors.js";
import { quietly } from "../files/write-errors.js";
import { bytesFetchedOf } from "../formats/open.js";
import { throwIfAborted } from "../interrupt.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { Asset } from "../llama/assets.js";
import { executePlan } from "../merge/execute-plan.js";
import { type FingerprintedSide, fingerprintOf } from "../merge/fingerprint.js";
import type { MergePlan, PlannedShard } from "../merge/merge-plan.js";
import { type Reporter, silentReporter } from "../progress.js";
import type { LostElements } from "../target/journal.js";
import { encodeProvenance, type MergeRecord, PROVENANCE, recordTarget } from "../target/provenance.js";
import { CHECKSUMS, checksumFiles, encodeChecksums } from "../target/sha256sums.js";
import { openStaging, type Staging, stagedBytes } from "../target/staging.js";
import { freeSpaceAt } from "../target/target.js";
import { plural } from "../units.js";
import { describeFailures, verificationOf } from "../verify/verification.js";
import { verifyFolder } from "../verify/verify-folder.js";

/** Everything a target is made of. */
export interface TargetContents {
  /** The real path of the target. */
  readonly target: string;
  readonly plan: MergePlan;
  /** The checkpoints the plan's tensors lie in, by their role. */
  readonly sources: Readonly<Record<string, FingerprintedSide>>;
  /** The files beside the weights, written in this order after them. */
  readonly files: readonly Asset[];
  readonly kernel: CompiledKernel;
  readonly threads: number;
  /** What the provenance beside the weights says; none is written where this is left out. */
  readonly record?: MergeRecord;
}

export interface WriteOptions {
  /** Throw away what an interrupted run of the same merge has finished. */
  readonly restart?: boolean | undefined;
  /** Wait until everything is on the disk; default true. Without it no interrupted run can be gone on with. */
  readonly sync?: boolean | undefined;
  /** Replace a target that isn't empty. */
  readonly overwrite?: boolean | undefined;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Write `SHA256SUMS`. */
  readonly checksums?: boolean;
  /** Read everything back and compare it before the target appears. */
  readonly verify?: boolean;
  /**
   * Judges what the weights turned out to be, before anything stands beside them: gives further files, or throws, and
   * there is no target.
   */
  readonly judge?: (losses: readonly LostElements[]) => readonly Asset[];
}

export interface WrittenTarget {
  /** The shards that an interrupted run had finished. */
  readonly keptShards: readonly string[];
  /** What failed after the target was there. */
  readonly warnings: readonly string[];
}

/** Errors that say that even finished shards are of no use: damaged, of other sources, or of a delta that is refused. */
const WORTHLESS: readonly ErrorCode[] = ["source-changed", "target-altered", "not-restorable"];

/**
 * Makes the target. Rejects with an `ApplyDeltaError`; then there is no target, and the shards that are finished wait
 * beside it for the next run. What fails once the target is there is a warning.
 */
export async function writeTarget(contents: TargetContents, options: WriteOptions): Promise<WrittenTarget> {
  const { target, plan } = contents;
  const reporter = options.reporter ?? silentReporter;
  const staging = openStaging(target, {
    fingerprint: fingerprintOf(contents.sources, plan),
    restart: options.restart ?? false,
    isDurable: options.sync ?? true,
    overwrite: options.overwrite ?? false,
  });
  try {
    describeLeftover(staging, plan, reporter);
    const losses = await writeShards(contents, staging, options);
    const files = [...(options.judge?.(losses) ?? []), ...contents.files];
    for (const asset of files) {
      if ("text" in asset) staging.writeText(asset.fileName, asset.text);
      else staging.copyFile(asset.copyFrom, asset.fileName);
    }
    await writeRecords({ ...contents, files }, staging, options);
    if (options.verify === true) await verifyStaged(contents, staging, options);
    throwIfAborted(options.signal);
    const warning = staging.commit();
    if (warning !== null) reporter.warn(warning);
    const keptShards = plan.shards.map(({ fileName }) => fileName).filter((name) => staging.kept.has(name));
    return { keptShards, warnings: warning === null ? [] : [warning] };
  } catch (error) {
    if (WORTHLESS.some((code) => isApplyDeltaError(error, code))) {
      staging.discard();
      throw error;
    }
    const keptShards = staging.suspend();
    const told = withRoom(asTargets(error, staging.folder), contents);
    throw resumable(told, keptShards, plan.shards.length);
  } finally {
    reporter.progressDone();
  }
}

function describeLeftover(staging: Staging, { shards }: MergePlan, reporter: Reporter): void {
  const { kept, discarded, changed } = staging;
  if (kept.size > 0)
    reporter.note(
      `going on from an interrupted run: ${kept.size} of ${plural(shards.length, "shard")} kept.`,
    );
  if (discarded === 0) return;
  const why = changed.length > 0 ? `these changed since: ${changed.join(", ")}` : "that was asked for";
  reporter.note(`starting over: an interrupted run had finished ${plural(discarded, "shard")}, but ${why}.`);
}

/** Gives what was lost, in the plan's order; also in shards that an interrupted run had finished. */
async function writeShards(
  { plan, kernel, threads, sources }: TargetContents,
  staging: Staging,
  options: WriteOptions,
): Promise<LostElements[]> {
  const outputs = plan.shards.map(({ fileName, byteLength, pieces }) =>
    staging.kept.has(fileName) ? null : staging.createFile(fileName, byteLength, pieces),
  );
  const assertSourcesUnchanged = () => {
    for (const { files } of Object.values(sources)) for (const file of files) file.assertUnchanged();
  };
  const lossOf = new Map(staging.keptLosses.map((loss) => [loss.tensor, loss]));
  await executePlan({
    plan,
    outputs,
    kernel,
    threads,
    signal: options.signal,
    onProgress: ({ bytesWritten, shard }) =>
      options.reporter?.progress({
        activity: plan.operation === "add" ? "merging" : "subtracting",
        bytesDone: bytesWritten,
        bytesTotal: plan.bytesToWrite,
        bytesFetched: bytesFetchedOf(Object.values(sources)),
        current: plan.shards[shard]?.fileName ?? "",
      }),
    async finishShard(shard, losses) {
      assertSourcesUnchanged();
      for (const loss of losses) lossOf.set(loss.tensor, loss);
      await staging.finishFile((plan.shards[shard] as PlannedShard).fileName, losses);
    },
  });
  return plan.tensors.flatMap(({ name }) => lossOf.get(name) ?? []);
}

/** The same error; where what was written can't be read back, the target's and no source's. */
function asTargets(error: unknown, folder: string): unknown {
  if (!isApplyDeltaError(error) || error.exitCode !== EXIT.source) return error;
  const file = error.details.file ?? "";
  if (file !== folder && dirname(file) !== folder) return error;
  return new ApplyDeltaError("target-unwritable", "What was written can't be read back.", {
    ...error.details,
    got: error.message,
    hint: "The disk reports an error: check it, or choose a folder on another disk.",
  });
}

/** The same error; where the disk ran full, with what is still needed and what there is. */
function withRoom(error: unknown, { target, plan }: TargetContents): unknown {
  if (!isApplyDeltaError(error, "no-space")) return error;
  const room: { expected?: string; got?: string } = {};
  quietly(() => {
    // Where all shards are there, the small files beside them aren't counted.
    room.expected = `${Math.max(0, plan.bytesToWrite - stagedBytes(target))} bytes free, and a little more`;
    // What is left of a quota, the system doesn't say.
    if (errnoOf(error.details.cause) !== "EDQUOT")
      room.got = `${freeSpaceAt(dirname(target)).freeBytes} bytes free`;
  });
  return new ApplyDeltaError(error.code, error.message, { ...room, ...error.details });
}

/** The same error, with what there is to go on from. */
function resumable(error: unknown, keptShards: number, shards: number): unknown {
  if (!isApplyDeltaError(error) || keptShards === 0) return error;
  const how = `it goes on from here, with ${keptShards} of ${plural(shards, "shard")} done.`;
  const hint =
    error.code === "interrupted"
      ? `Run the same command again: ${how}`
      : `${error.details.hint ?? ""} Then run the same command again: ${how}`.trim();
  return new ApplyDeltaError(error.code, error.message, { ...error.details, hint });
}

/** The files that say what was made, after everything they speak of. */
async function writeRecords(
  { plan, files, record }: TargetContents,
  staging: Staging,
  { checksums = false, reporter = silentReporter, signal }: WriteOptions,
): Promise<void> {
  const names = files.map(({ fileName }) => fileName);
  if (record !== undefined) {
    const made = await recordTarget(staging.folder, names, { checksums }).catch((error: unknown) => {
      // What this program wrote is well-formed, unless it was changed since.
      const isMalformed = isApplyDeltaError(error) && error.exitCode === EXIT.malformed;
      throw isMalformed ? alteredTarget(`weights: ${error.message}`) : error;
    });
    staging.writeText(PROVENANCE, encodeProvenance(record, made));
    names.push(PROVENANCE);
  }
  if (!checksums) return;
  const all = [...plan.shards.map(({ fileName }) => fileName), ...names];
  const sha256Of = await checksumFiles(staging.folder, all, {
    signal,
    // Shards are written past the page cache: this reads them several at a time, ahead of the hash.
    fromDisk: true,
    onProgress: (progress) =>
      reporter.progress({ activity: "writing checksums", ...progress, current: CHECKSUMS }),
  });
  staging.writeText(CHECKSUMS, encodeChecksums(sha256Of));
}

/** Errors: `target-altered`; those of reading; `interrupted`. */
async function verifyStaged(
  { plan, kernel, threads }: TargetContents,
  { folder }: Staging,
  { reporter, signal }: WriteOptions,
): Promise<void> {
  const { checks, notes } = await verifyFolder(folder, { plan, kernel, threads, reporter, signal });
  const verification = verificationOf(folder, checks, notes);
  if (verification.verdict === "ok") return;
  throw alteredTarget(describeFailures(verification));
}

function alteredTarget(got: string): ApplyDeltaError {
  return new ApplyDeltaError("target-altered", "The target failed its verification and was not made.", {
    got,
    hint: "If `weights`, `sum` or `checksums` failed, what was written isn't what was read back: check the disk, or choose a folder on another. Otherwise base or delta is at fault: look at them with `inspect`.",
  });
}
