/** What the target's provenance says of the merge: names, never paths of this machine; numbers that every kernel gives. */

import type { BaseCheck } from "../base-check/documents.js";
import type { Checkpoint } from "../formats/open.js";
import { type MergePlan, notAdded } from "../merge/merge-plan.js";
import type { MatchRules } from "../merge/options.js";
import { type ModelOrigin, modelName } from "../target/model-card.js";
import { type MergeRecord, recordWeights, type SourceRecord } from "../target/provenance.js";

/** Errors: those of reading headers. */
export async function recordMerge(
  base: Checkpoint & ModelOrigin,
  delta: Checkpoint & ModelOrigin,
  plan: MergePlan,
  dtype: MergeRecord["dtype"],
  rules: MatchRules,
  baseCheck: BaseCheck | null,
): Promise<MergeRecord> {
  const { newRows, trimRows, deltaOnly, baseOnly, replace } = rules;
  const others = notAdded(plan);
  return {
    operation: "add",
    scale: plan.scale,
    dtype,
    rules: { newRows, trimRows, deltaOnly, baseOnly, replace },
    base: await recordSide(base),
    delta: await recordSide(delta),
    baseCheck: baseCheck === null ? null : recordBaseCheck(baseCheck),
    tensors: { added: plan.tensors.filter(({ reason }) => reason === null).length, others },
  };
}

async function recordSide(side: Checkpoint & ModelOrigin): Promise<SourceRecord> {
  const files = await recordWeights(side);
  return { reference: modelName(side), revision: side.hub?.commit ?? null, files };
}

function recordBaseCheck(baseCheck: BaseCheck): MergeRecord["baseCheck"] {
  const { verdict, checkedIn, inexact, judged, cause } = baseCheck;
  const { sampled, comparable } = baseCheck.statistics;
  return { verdict, checkedIn, sampled, comparable, inexact, judged, unfit: [...(cause?.tensors ?? [])] };
}
