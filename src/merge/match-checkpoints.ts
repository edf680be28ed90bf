/** A merge and the verification of its target match two checkpoints in this one way. */
import type { Checkpoint } from "../formats/open.js";
import type { ModelConfig } from "../llama/documents.js";
import { type Match, type MatchSide, matchTensors } from "./match.js";
import type { MatchRules } from "./options.js";

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
