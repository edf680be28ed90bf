/**
 * In: a plan and the files beside the weights. Out: the target folder, whole, or an error and none.
 * Every command that makes a model goes through here: staging, execution, assets, commit.
 */
import { assertUnchanged } from "./checkpoint/local-file.js";
import { ApplyDeltaError, type ErrorCode, isApplyDeltaError } from "./errors.js";
import { executePlan } from "./execute/execute-plan.js";
import { throwIfAborted } from "./execute/pool.js";
import type { CompiledKernel } from "./kernel/select.js";
import type { Asset } from "./output/assets.js";
import { openStaging, type Staging } from "./output/staging.js";
import { type FingerprintedSide, fingerprintOf } from "./plan/fingerprint.js";
import type { MergePlan, PlannedShard } from "./plan/merge-plan.js";
import { type Reporter, silentReporter } from "./report/reporter.js";
import { plural } from "./report/units.js";

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
}

export interface WriteOptions {
  /** Throw away what an interrupted run of the same merge has finished. */
  readonly restart?: boolean | undefined;
  /** Wait until everything is on the disk; default true. Without it no interrupted run can be gone on with. */
  readonly sync?: boolean | undefined;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Errors that say that even finished shards are of no use. */
const WORTHLESS: readonly ErrorCode[] = ["source-changed"];

/**
 * Makes the target; returns the shards that an interrupted run had finished. Rejects with an `ApplyDeltaError`; then
 * there is no target, and the shards that are finished wait beside it for the next run.
 */
export async function writeTarget(
  contents: TargetContents,
  options: WriteOptions,
): Promise<readonly string[]> {
  const { target, plan, files } = contents;
  const reporter = options.reporter ?? silentReporter;
  const staging = openStaging(target, {
    fingerprint: fingerprintOf(contents.sources, plan),
    restart: options.restart ?? false,
    isDurable: options.sync ?? true,
  });
  try {
    describeLeftover(staging, plan, reporter);
    await writeShards(contents, staging, options);
    for (const asset of files) {
      if ("text" in asset) staging.writeText(asset.fileName, asset.text);
      else staging.copyFile(asset.copyFrom, asset.fileName);
    }
    throwIfAborted(options.signal);
    staging.commit();
    return [...staging.kept];
  } catch (error) {
    if (WORTHLESS.some((code) => isApplyDeltaError(error, code))) {
      staging.discard();
      throw error;
    }
    throw resumable(error, staging.suspend(), plan.shards.length);
  } finally {
    reporter.progressDone();
  }
}

function describeLeftover({ kept, changed }: Staging, { shards }: MergePlan, reporter: Reporter): void {
  if (kept.size > 0)
    reporter.note(
      `going on from an interrupted run: ${kept.size} of ${plural(shards.length, "shard")} kept.`,
    );
  if (changed.length > 0)
    reporter.note(`an interrupted run is not gone on with, since these changed: ${changed.join(", ")}.`);
}

async function writeShards(
  { plan, kernel, threads, sources }: TargetContents,
  staging: Staging,
  options: WriteOptions,
): Promise<void> {
  const outputs = plan.shards.map(({ fileName, byteLength, header }) =>
    staging.kept.has(fileName) ? null : staging.createFile(fileName, byteLength, header),
  );
  const assertSourcesUnchanged = () => {
    for (const { files } of Object.values(sources)) files.forEach(assertUnchanged);
  };
  await executePlan({
    plan,
    outputs,
    kernel,
    threads,
    signal: options.signal,
    onProgress: ({ bytesWritten, shard }) =>
      options.reporter?.progress({
        bytesDone: bytesWritten,
        bytesTotal: plan.bytesToWrite,
        current: plan.shards[shard]?.fileName ?? "",
      }),
    async finishShard(shard) {
      assertSourcesUnchanged();
      await staging.finishFile((plan.shards[shard] as PlannedShard).fileName);
    },
  });
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
