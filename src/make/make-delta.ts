/**
 * Making a delta on one screen: resolve (and download), open, prepare, execute, prove, commit.
 * In: typed options. Out: a folder of delta weights, whole, or an error and nothing.
 */

import { resourceUsage } from "node:process";
import { writeTarget } from "../apply/write-target.js";
import { bytesFetchedOf } from "../formats/open.js";
import { throwIfAborted } from "../interrupt.js";
import { countActions } from "../merge/merge-plan.js";
import { resolvePair, withCheckpoints } from "../merge/preparation.js";
import type { DeltaPlanDocument, MakeSummary, Restoration } from "./documents.js";
import { deltaPlanDocument } from "./plan-document.js";
import { type MakeDeltaOptions, type PreparedDelta, prepareDelta } from "./prepare-delta.js";
import { judgeRestoration, restorationError } from "./restoration.js";

export type { MakeDeltaOptions } from "./prepare-delta.js";

/** Makes tuned - base in a new folder. Rejects with an `ApplyDeltaError`; then there is no delta. */
export async function makeDelta(options: MakeDeltaOptions): Promise<MakeSummary> {
  const start = performance.now();
  return withPrepared(options, async (prepared) => {
    const { plan, kernel, threads } = prepared;
    let restores: Restoration = judgeRestoration([], plan.parameterCount);
    const { keptShards, warnings } = await writeTarget(prepared, {
      ...options,
      judge: (losses) => {
        restores = judgeRestoration(losses, plan.parameterCount);
        const error = options.exact === true ? restorationError(restores) : null;
        if (error !== null) throw error;
        return [prepared.card(restores)];
      },
    });
    return {
      delta: prepared.target,
      tensors: countActions(plan),
      shards: plan.shards.map(({ fileName, byteLength }) => ({ file: fileName, bytes: byteLength })),
      keptShards,
      change: prepared.change,
      restores,
      applyWith: prepared.applyWith,
      bytesRead: plan.bytesToRead,
      bytesStreamed: bytesFetchedOf(Object.values(prepared.sources)),
      bytesWritten: plan.bytesToWrite,
      seconds: (performance.now() - start) / 1000,
      peakMemoryBytes: resourceUsage().maxRSS * 1024,
      kernel: kernel.name,
      threads,
      warnings: [...prepared.warnings, ...warnings],
    };
  });
}

/** Everything up to the first byte written: what `--dry-run` shows. Touches nothing. */
export async function planDelta(options: MakeDeltaOptions): Promise<DeltaPlanDocument> {
  return withPrepared(options, async (prepared) => deltaPlanDocument(prepared));
}

async function withPrepared<T>(
  options: MakeDeltaOptions,
  body: (prepared: PreparedDelta) => Promise<T>,
): Promise<T> {
  const [base, tuned] = await resolvePair(
    [
      { role: "base", reference: options.base, revision: options.baseRevision },
      { role: "tuned model", reference: options.tuned, revision: options.tunedRevision },
    ],
    options.delta,
    options,
  );
  return withCheckpoints([base, tuned], options.signal, async (openBase, openTuned) => {
    const prepared = await prepareDelta(openBase, openTuned, options, { base, tuned });
    throwIfAborted(options.signal);
    return body(prepared);
  });
}
