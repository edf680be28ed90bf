/**
 * The program on one screen: resolve (and download), open, prepare, execute, assets, commit.
 * In: typed options. Out: a target folder, whole, or an error and nothing. No console, no exit, no signals here.
 */

import { resourceUsage } from "node:process";
import { bytesFetchedOf } from "../formats/open.js";
import { throwIfAborted } from "../interrupt.js";
import { describeRelease } from "../llama/recognize.js";
import { countActions } from "../merge/merge-plan.js";
import { resolvePair, withCheckpoints } from "../merge/preparation.js";
import type { MergePlanDocument, MergeSummary } from "./documents.js";
import { planDocument } from "./plan-document.js";
import { type ApplyDeltaOptions, type PreparedMerge, prepareMerge } from "./prepare-merge.js";
import { writeTarget } from "./write-target.js";

export type { ApplyDeltaOptions } from "./prepare-merge.js";

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
      bytesStreamed: bytesFetchedOf(Object.values(prepared.sources)),
      bytesWritten: plan.bytesToWrite,
      seconds: (performance.now() - start) / 1000,
      peakMemoryBytes: resourceUsage().maxRSS * 1024,
      kernel: prepared.kernel.name,
      threads: prepared.threads,
      baseCheck: prepared.baseCheck,
      verified: options.verify ?? false,
      warnings: [...prepared.warnings, ...warnings],
    };
  });
}

/** Everything up to the first byte written: what `--dry-run` shows. Touches nothing. */
export async function planMerge(options: ApplyDeltaOptions): Promise<MergePlanDocument> {
  return withPrepared(options, async (prepared) => planDocument(prepared));
}

/** Opens both sides, prepares, runs `body`, closes both sides whatever happens. */
async function withPrepared<T>(
  options: ApplyDeltaOptions,
  body: (prepared: PreparedMerge) => Promise<T>,
): Promise<T> {
  const [base, delta] = await resolvePair(
    [
      { role: "base", reference: options.base, revision: options.baseRevision },
      { role: "delta", reference: options.delta, revision: options.deltaRevision },
    ],
    options.target,
    options,
  );
  return withCheckpoints([base, delta], options.signal, async (openBase, openDelta) => {
    const prepared = await prepareMerge(openBase, openDelta, options, { base, delta });
    throwIfAborted(options.signal);
    return body(prepared);
  });
}
