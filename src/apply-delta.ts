/**
 * The program on one screen: resolve, open, prepare, execute, assets, commit.
 * In: typed options. Out: a target folder, whole, or an error and nothing. No console, no exit, no signals here.
 */
import { resourceUsage } from "node:process";
import { openCheckpoint } from "./checkpoint/open.js";
import { throwIfAborted } from "./execute/pool.js";
import { checkTarget } from "./output/target.js";
import { countActions } from "./plan/merge-plan.js";
import { type ApplyDeltaOptions, type PreparedMerge, prepareMerge } from "./prepare-merge.js";
import type { MergeSummary } from "./report/summary.js";
import { resolveModel } from "./source/resolve.js";
import { describeRelease } from "./vicuna/recognize.js";
import { writeTarget } from "./write-target.js";

export type { ApplyDeltaOptions, PreparedMerge } from "./prepare-merge.js";

/** Merges base and delta into a new folder. Rejects with an `ApplyDeltaError`; then there is no target. */
export async function applyDelta(options: ApplyDeltaOptions): Promise<MergeSummary> {
  const start = performance.now();
  return withPrepared(options, async (prepared) => {
    const { plan, release } = prepared;
    const keptShards = await writeTarget(prepared, options);
    return {
      target: prepared.target,
      release: release === null ? null : describeRelease(release),
      scale: plan.scale,
      tensors: countActions(plan),
      shards: plan.shards.map(({ fileName, byteLength }) => ({ file: fileName, bytes: byteLength })),
      keptShards,
      bytesRead: plan.bytesToRead,
      bytesWritten: plan.bytesToWrite,
      seconds: (performance.now() - start) / 1000,
      peakMemoryBytes: resourceUsage().maxRSS * 1024,
      kernel: prepared.kernel.name,
      threads: prepared.threads,
      baseCheck: prepared.fit,
      warnings: prepared.warnings,
    };
  });
}

/** Everything up to the first byte written: what `--dry-run` shows. Touches nothing. */
export async function planMerge(options: ApplyDeltaOptions): Promise<PreparedMerge> {
  return withPrepared(options, async (prepared) => prepared);
}

/** Opens both sides, prepares, runs `body`, closes both sides whatever happens. */
async function withPrepared<T>(
  options: ApplyDeltaOptions,
  body: (prepared: PreparedMerge) => Promise<T>,
): Promise<T> {
  const basePath = resolveModel(options.base, "base");
  const deltaPath = resolveModel(options.delta, "delta");
  checkTarget(options.target, { overwrite: options.overwrite ?? false, sources: [basePath, deltaPath] });
  const base = await openCheckpoint(basePath);
  try {
    const delta = await openCheckpoint(deltaPath);
    try {
      const prepared = await prepareMerge(base, delta, options);
      throwIfAborted(options.signal);
      return await body(prepared);
    } finally {
      delta.close();
    }
  } finally {
    base.close();
  }
}
