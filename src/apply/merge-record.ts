/** What the target's provenance says of the merge: names, never paths of this machine; numbers that every kernel gives. */

import type { BaseCheck } from "../base-check/documents.js";
import type { Checkpoint } from "../formats/open.js";
import { type MergePlan, notAdded } from "../merge/merge-plan.js";
import type { MatchRules } from "../merge/options.js";
import { type ModelOrigin, modelName } from "../target/model-card.js";
import { type MergeRecord, recordWeights, type SourceRecord } from "../target/provenance.js";

export interface MergeFacts {
  readonly base: Checkpoint & ModelOrigin;
  readonly delta: Checkpoint & ModelOrigin;
  readonly rules: MatchRules;
  readonly dtype: MergeRecord["dtype"];
  readonly plan: MergePlan;
  readonly baseCheck: BaseCheck | null;
}

/** Errors: those of reading headers. */
export async function recordMerge({
  base,
  delta,
  rules,
  dtype,
  plan,
  baseCheck,
}: MergeFacts): Promise<MergeRecord> {
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
  return {
    reference: modelName(side),
    revision: side.hub?.commit ?? null,
    files: await recordWeights(side),
  };
}

function recordBaseCheck({
  verdict,
  checkedIn,
  inexact,
  judged,
  cause,
  statistics,
}: BaseCheck): MergeRecord["baseCheck"] {
  const { sampled, comparable } = statistics;
  return { verdict, checkedIn, sampled, comparable, inexact, judged, unfit: [...(cause?.tensors ?? [])] };
}
