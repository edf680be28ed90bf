/**
 * In: the tensors of base and delta. Out: for every tensor of the target, what it is made of and why.
 * Guards: no tensor vanishes or is invented silently. Whatever no rule explains is an error that lists it.
 * The rules and where they come from: docs/architecture.md, "Rules of matching".
 */
import { ApplyDeltaError } from "../errors.js";
import { isFloatDType, type TensorView } from "../tensor.js";
import { explainNames, explainShapes, quantizationOf } from "./explain.js";

export interface MatchRules {
  /** What the base counts as in rows that only the delta's embeddings have. */
  readonly newRows: "zero" | "error";
  /** What becomes of tensors that only the delta has and no rule knows. */
  readonly deltaOnly: "keep" | "drop" | "error";
  /** What becomes of tensors that only the base has and no rule knows. */
  readonly baseOnly: "keep" | "drop" | "error";
}

export type Action = "added" | "copied" | "grown";

export interface MatchedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly action: Action;
  /** Why it isn't simply added; null where it is. */
  readonly reason: string | null;
  readonly base: TensorView | null;
  readonly delta: TensorView | null;
}

export interface DroppedTensor {
  readonly name: string;
  readonly from: "base" | "delta";
  readonly reason: string;
}

export interface Match {
  /** In state-dict order. */
  readonly tensors: readonly MatchedTensor[];
  readonly dropped: readonly DroppedTensor[];
}

/** Buffers of the position encoding: computed, not trained, and ignored by every loader. */
const ROTARY_BUFFER = /(?:^|\.)rotary_emb\.inv_freq$/;

/** The matrices with one row for each token, which grow when tokens are added. */
const EMBEDDINGS = new Set(["model.embed_tokens.weight", "lm_head.weight"]);

/** LLaVA's projector from the vision tower, which no LLaMA has. */
const LLAVA_PROJECTOR = /^model\.mm_projector\./;

type Outcome = MatchedTensor | DroppedTensor | { readonly problem: "names" | "shapes" };

/** Matches by name. Errors: `names-differ`, `shapes-differ`, `unsupported-dtype`. */
export function matchTensors(
  base: readonly TensorView[],
  delta: readonly TensorView[],
  rules: MatchRules,
): Match {
  const baseByName = new Map(base.map((tensor) => [tensor.name, tensor]));
  const deltaByName = new Map(delta.map((tensor) => [tensor.name, tensor]));
  const tensors: MatchedTensor[] = [];
  const dropped: DroppedTensor[] = [];
  const problems = { names: [] as string[], shapes: [] as string[] };
  for (const name of mergedOrder(base, deltaByName)) {
    const outcome = matchOne(baseByName.get(name), deltaByName.get(name), rules);
    if ("problem" in outcome) problems[outcome.problem].push(name);
    else if ("from" in outcome) dropped.push(outcome);
    else tensors.push(outcome);
  }
  if (problems.names.length > 0) throw explainNames(base, delta, problems.names);
  // Rules that drop everything would make a model without weights.
  if (tensors.length === 0) throw explainNames(base, delta, [...baseByName.keys(), ...deltaByName.keys()]);
  if (problems.shapes.length > 0) throw explainShapes(base, delta, problems.shapes);
  for (const { base: fromBase, delta: fromDelta } of tensors) {
    if (fromBase !== null) checkDType(fromBase, "base", base);
    if (fromDelta !== null) checkDType(fromDelta, "delta", delta);
  }
  return { tensors, dropped };
}

/** The delta's order; a tensor that only the base has stands behind the one it follows in the base. */
function mergedOrder(base: readonly TensorView[], delta: ReadonlyMap<string, TensorView>): string[] {
  const following = new Map<string | null, string[]>([[null, []]]);
  let anchor: string | null = null;
  for (const { name } of base) {
    if (delta.has(name)) {
      anchor = name;
      following.set(name, []);
    } else {
      following.get(anchor)?.push(name);
    }
  }
  return [
    following.get(null) ?? [],
    ...[...delta.keys()].map((name) => [name, ...(following.get(name) ?? [])]),
  ].flat();
}

function matchOne(base: TensorView | undefined, delta: TensorView | undefined, rules: MatchRules): Outcome {
  if (base !== undefined && delta !== undefined) return matchPair(base, delta, rules);
  return delta === undefined ? matchBaseOnly(base as TensorView, rules) : matchDeltaOnly(delta, rules);
}

function matchPair(base: TensorView, delta: TensorView, rules: MatchRules): Outcome {
  const { name, shape } = delta;
  const matched = { name, shape, base, delta };
  if (sameShape(base.shape, shape)) return { ...matched, action: "added", reason: null };
  if (rules.newRows !== "error" && EMBEDDINGS.has(name) && growsRows(base.shape, shape)) {
    const rows = (shape[0] ?? 0) - (base.shape[0] ?? 0);
    const count = rows === 1 ? "1 row that only the delta has" : `${rows} rows that only the delta has`;
    return { ...matched, action: "grown", reason: `${count}: the base counts as zeros there` };
  }
  return { problem: "shapes" };
}

function matchDeltaOnly(delta: TensorView, rules: MatchRules): Outcome {
  const { name, shape } = delta;
  const copied = { name, shape, action: "copied", base: null, delta } as const;
  if (ROTARY_BUFFER.test(name)) {
    return { name, from: "delta", reason: "rotary buffer follows the base, which has none" };
  }
  if (LLAVA_PROJECTOR.test(name)) return { ...copied, reason: "LLaVA's projector, only in the delta" };
  if (rules.deltaOnly === "keep") return { ...copied, reason: "only in the delta, kept as asked" };
  if (rules.deltaOnly === "drop")
    return { name, from: "delta", reason: "only in the delta, dropped as asked" };
  return { problem: "names" };
}

function matchBaseOnly(base: TensorView, rules: MatchRules): Outcome {
  const { name, shape } = base;
  const copied = { name, shape, action: "copied", base, delta: null } as const;
  if (ROTARY_BUFFER.test(name)) return { ...copied, reason: "rotary buffer, only in the base" };
  if (rules.baseOnly === "keep") return { ...copied, reason: "only in the base, kept as asked" };
  if (rules.baseOnly === "drop") return { name, from: "base", reason: "only in the base, dropped as asked" };
  return { problem: "names" };
}

/** Whether a rotary buffer: kept in its own dtype whatever `--dtype` says, since rounding it would move positions. */
export function isRotaryBuffer(name: string): boolean {
  return ROTARY_BUFFER.test(name);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((extent, dim) => extent === b[dim]);
}

function growsRows(base: readonly number[], delta: readonly number[]): boolean {
  return base.length === 2 && delta.length === 2 && base[1] === delta[1] && (base[0] ?? 0) < (delta[0] ?? 0);
}

function checkDType(tensor: TensorView, role: "base" | "delta", all: readonly TensorView[]): void {
  if (isFloatDType(tensor.dtype)) return;
  const { what, hint } = quantizationOf(all, role);
  throw new ApplyDeltaError("unsupported-dtype", `The ${role} ${what}.`, {
    file: tensor.file.path,
    tensor: tensor.name,
    expected: "float16, bfloat16, float32 or float64",
    got: tensor.dtype,
    hint,
  });
}
