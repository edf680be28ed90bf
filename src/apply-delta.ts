/**
 * The program on one screen: resolve (and download), open, prepare, execute, assets, commit.
 * In: typed options. Out: a target folder, whole, or an error and nothing. No console, no exit, no signals here.
 */
import { resourceUsage } from "node:process";
import { openCheckpoint } from "./checkpoint/open.js";
import { throwIfAborted } from "./execute/pool.js";
import { checkTarget } from "./output/target.js";
import { countActions } from "./plan/merge-plan.js";
import { type ApplyDeltaOptions, type PreparedMerge, prepareMerge } from "./prepare-merge.js";
import type { MergeSummary } from "./report/summary.js";
import { type ResolvedModel, readRequest, resolveModels } from "./source/resolve.js";
import { describeRelease } from "./vicuna/recognize.js";
import { writeTarget } from "./write-target.js";

export type { ApplyDeltaOptions, PreparedMerge } from "./prepare-merge.js";

/** Merges base and delta into a new folder. Rejects with an `ApplyDeltaError`; then there is no target. */
export async function applyDelta(options: ApplyDeltaOptions): Promise<MergeSummary> {
  const start = performance.now();
  return withPrepared(options, async (prepared) => {
    const { plan, release } = prepared;
    const { keptShards, warnings } = await writeTarget(prepared, options);
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
      verified: options.verify ?? false,
      warnings: [...prepared.warnings, ...warnings],
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
  const sources = await resolveSources(options);
  const base = await openCheckpoint(sources.base.path);
  try {
    const delta = await openCheckpoint(sources.delta.path);
    try {
      const prepared = await prepareMerge(base, delta, options, sources);
      throwIfAborted(options.signal);
      return await body(prepared);
    } finally {
      delta.close();
    }
  } finally {
    base.close();
  }
}

/** Base and delta on this machine. A target that can't be made is found before anything is downloaded for it. */
async function resolveSources(options: ApplyDeltaOptions): Promise<Record<"base" | "delta", ResolvedModel>> {
  const { target, overwrite = false, hub, reporter, signal } = options;
  const requests = [
    { role: "base", reference: options.base, revision: options.baseRevision },
    { role: "delta", reference: options.delta, revision: options.deltaRevision },
  ] as const;
  const local = requests.map(readRequest).flatMap((request) => ("path" in request ? [request.path] : []));
  checkTarget(target, { overwrite, sources: local });
  const [base, delta] = await resolveModels(requests, { hub, reporter, signal, target });
  if (base === undefined || delta === undefined) throw new Error("a model was not resolved");
  return { base, delta };
}
