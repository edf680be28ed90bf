/**
 * In: a plan and the files beside the weights. Out: the target folder, whole, or an error and none.
 * Every command that makes a model goes through here: staging, execution, assets, commit.
 */
import { executePlan } from "./execute/execute-plan.js";
import { throwIfAborted } from "./execute/pool.js";
import type { CompiledKernel } from "./kernel/select.js";
import type { Asset } from "./output/assets.js";
import { createStaging } from "./output/staging.js";
import type { MergePlan } from "./plan/merge-plan.js";
import { type Reporter, silentReporter } from "./report/reporter.js";

/** Everything a target is made of. */
export interface TargetContents {
  /** The real path of the target. */
  readonly target: string;
  readonly plan: MergePlan;
  /** The files beside the weights, written in this order after them. */
  readonly files: readonly Asset[];
  readonly kernel: CompiledKernel;
  readonly threads: number;
}

export interface WriteOptions {
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Makes the target. Rejects with an `ApplyDeltaError`; then there is none. */
export async function writeTarget(contents: TargetContents, options: WriteOptions): Promise<void> {
  const { target, plan, files, kernel, threads } = contents;
  const reporter = options.reporter ?? silentReporter;
  const staging = createStaging(target);
  try {
    if (staging.replacedLeftover) reporter.note(`removed ${staging.folder}, left by a run that was killed.`);
    const outputs = plan.shards.map((shard) =>
      staging.createFile(shard.fileName, shard.byteLength, shard.header),
    );
    await executePlan({
      plan,
      outputs,
      kernel,
      threads,
      signal: options.signal,
      onProgress: ({ bytesWritten, shard }) =>
        reporter.progress({
          bytesDone: bytesWritten,
          bytesTotal: plan.bytesToWrite,
          current: plan.shards[shard]?.fileName ?? "",
        }),
    });
    for (const asset of files) {
      if ("text" in asset) staging.writeText(asset.fileName, asset.text);
      else staging.copyFile(asset.copyFrom, asset.fileName);
    }
    throwIfAborted(options.signal);
    staging.commit();
  } catch (error) {
    staging.discard();
    throw error;
  } finally {
    reporter.progressDone();
  }
}
