/**
 * In: two open checkpoints, what their configs say, the rules. Out: what becomes of every tensor.
 * A merge and the verification of its target match in this one way.
 */
import type { Checkpoint } from "../formats/open.js";
import type { ModelConfig } from "../llama/documents.js";
import { type Match, type MatchRules, type MatchSide, matchTensors } from "./match.js";

/** What holds where the user says nothing. */
export const DEFAULT_RULES: MatchRules = {
  newRows: "zero",
  trimRows: false,
  deltaOnly: "error",
  baseOnly: "error",
};

/** Matches the tensors of two open checkpoints by the rules. Errors: those of `matchTensors`. */
export function matchCheckpoints(
  base: Checkpoint,
  delta: Checkpoint,
  configs: { readonly base: ModelConfig | null; readonly delta: ModelConfig | null },
  rules: MatchRules,
): Match {
  return matchTensors(sideOf(base, configs.base), sideOf(delta, configs.delta), rules);
}

/** A checkpoint as matching sees it. */
export function sideOf({ tensors }: Checkpoint, config: ModelConfig | null): MatchSide {
  return { tensors, tiesEmbeddings: config?.tieWordEmbeddings ?? false };
}
