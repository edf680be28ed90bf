/** A merge and the verification of its target match two checkpoints in this one way. */
import { type Checkpoint, configOf } from "../formats/open.js";
import { type Match, type MatchSide, matchTensors } from "./match.js";
import type { MatchRules } from "./options.js";

/** Matches the tensors of two open checkpoints by the rules. Errors: those of `matchTensors`, `bad-json`. */
export function matchCheckpoints(base: Checkpoint, delta: Checkpoint, rules: MatchRules): Match {
  return matchTensors(sideOf(base), sideOf(delta), rules);
}

export function sideOf(side: Checkpoint): MatchSide {
  return { tensors: side.tensors, tiesEmbeddings: configOf(side)?.tieWordEmbeddings ?? false };
}
