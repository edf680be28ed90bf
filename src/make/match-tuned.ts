/**
 * What each tensor of a delta is made of. Applying the delta by its own rules (match.ts) gives the tuned model's tensor;
 * where that takes an option, the option is named. No tensor of the base gets into the delta whole.
 */
import { isLlavaProjector, isRotaryBuffer } from "../llama/tensor-names.js";
import {
  describeRows,
  type Match,
  type MatchSide,
  matchSides,
  newRowsOf,
  type Outcome,
  sameShape,
} from "../merge/match.js";
import type { TensorView } from "../tensor.js";
import type { TunedRules } from "./options.js";

/** Errors: `names-differ`, `shapes-differ`, `unsupported-dtype`. */
export function matchTuned(base: MatchSide, tuned: MatchSide, rules: TunedRules): Match {
  return matchSides(base, tuned, {
    operation: "subtract",
    other: "tuned model",
    made: "delta",
    pair: matchPair,
    otherOnly: (fromTuned) => matchTunedOnly(fromTuned, rules),
    baseOnly: (fromBase) => matchBaseOnly(fromBase, rules),
  });
}

/** The options that applying needs for every tensor to come back, each once. */
export function optionsToApply({ tensors, dropped }: Pick<Match, "tensors" | "dropped">): string[] {
  return [...new Set([...tensors, ...dropped].flatMap(({ applyWith }) => applyWith ?? []))];
}

function matchPair(base: TensorView, tuned: TensorView): Outcome {
  const { name, shape } = tuned;
  const matched = { name, shape, base, delta: tuned };
  if (sameShape(base.shape, shape)) return { ...matched, action: "subtracted", reason: null };
  const rows = newRowsOf(base, tuned);
  if (rows === 0) return { problem: "shapes" };
  const reason = `${describeRows(rows, "tuned model")}: kept as ${rows === 1 ? "it is" : "they are"}`;
  return { ...matched, action: "grown", newRows: "zero", reason };
}

function matchTunedOnly(tuned: TensorView, { tunedOnly }: TunedRules): Outcome {
  const { name, shape } = tuned;
  const dropped = { name, from: "tuned model" } as const;
  const copied = { name, shape, action: "copied", base: null, delta: tuned } as const;
  // In a delta it would be taken for a difference, and there is none.
  if (isRotaryBuffer(name))
    return { ...dropped, reason: "rotary buffer, only in the tuned model: loaders compute it" };
  if (isLlavaProjector(name)) return { ...copied, reason: "LLaVA's projector, only in the tuned model" };
  if (tunedOnly === "drop") return { ...dropped, reason: "only in the tuned model, dropped as asked" };
  if (tunedOnly === "error") return { problem: "names" };
  return { ...copied, reason: "only in the tuned model, kept as it is", applyWith: "--delta-only keep" };
}

function matchBaseOnly({ name }: TensorView, rules: TunedRules): Outcome {
  const dropped = { name, from: "base" } as const;
  if (isRotaryBuffer(name))
    return { ...dropped, reason: "rotary buffer, only in the base: loaders compute it" };
  if (rules.baseOnly === "error") return { problem: "names" };
  return { ...dropped, reason: "only in the base, dropped as asked", applyWith: "--base-only drop" };
}
