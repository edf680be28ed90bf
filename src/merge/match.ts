/**
 * Matches the tensors of a base and of what stands beside it: what is made, of what, and why. Both operations go the
 * same way; the rules of adding a delta are here, those of making one in match-tuned.ts. No tensor vanishes or is
 * invented silently: whatever no rule explains is an error that lists it. Where the rules come from:
 * docs/architecture.md, "Rules of matching".
 */

import { ApplyDeltaError } from "../errors.js";
import type { Operation } from "../kernel/kernel.js";
import {
  EMBEDDING,
  hasRowsOfTokens,
  isLlavaProjector,
  isRotaryBuffer,
  LM_HEAD,
} from "../llama/tensor-names.js";
import { bitsOf, isFloatDType, type TensorView } from "../tensor.js";
import type { Action } from "./documents.js";
import { explainNames, explainShapes, isQuantized, type OtherSide, quantizationOf } from "./explain.js";
import type { MatchRules } from "./options.js";

export interface MatchedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly action: Action;
  /** Where `grown`: what the base counts as in the rows it lacks. */
  readonly newRows?: "zero" | "mean";
  /** Why it isn't simply added or subtracted; null where it is. */
  readonly reason: string | null;
  readonly base: TensorView | null;
  /** What stands beside the base: the delta, or the tuned model a delta is made of. */
  readonly delta: TensorView | null;
  /** Of a delta's tensor: the option it needs when the delta is applied. */
  readonly applyWith?: string;
}

export interface DroppedTensor {
  readonly name: string;
  readonly from: "base" | OtherSide;
  readonly reason: string;
  /** As of a matched tensor. */
  readonly applyWith?: string;
}

export interface Match {
  readonly operation: Operation;
  readonly tensors: readonly MatchedTensor[];
  readonly dropped: readonly DroppedTensor[];
}

export type Outcome = MatchedTensor | DroppedTensor | { readonly problem: "names" | "shapes" };

export interface Decisions {
  readonly operation: Operation;
  /** What stands beside the base, and what is made. */
  readonly other: OtherSide;
  readonly made: "target" | "delta";
  pair(base: TensorView, other: TensorView): Outcome;
  otherOnly(other: TensorView): Outcome;
  baseOnly(base: TensorView): Outcome;
}

export interface MatchSide {
  readonly tensors: readonly TensorView[];
  /** Whether config.json says that `lm_head` is `embed_tokens` (`tie_word_embeddings`). */
  readonly tiesEmbeddings: boolean;
}

/** Matches a base and a delta by name. Errors: `names-differ`, `shapes-differ`, `unsupported-dtype`. */
export function matchTensors(base: MatchSide, delta: MatchSide, rules: MatchRules): Match {
  const replaced = new Set(rules.replace.split(","));
  return matchSides(base, delta, {
    operation: "add",
    other: "delta",
    made: "target",
    pair: (fromBase, fromDelta) => matchPair(fromBase, fromDelta, rules, replaced),
    otherOnly: (fromDelta) => matchDeltaOnly(fromDelta, rules),
    baseOnly: (fromBase) => matchBaseOnly(fromBase, rules),
  });
}

/** Matches by name, as decided. Errors: `names-differ`, `shapes-differ`, `unsupported-dtype`. */
export function matchSides(baseSide: MatchSide, otherSide: MatchSide, decisions: Decisions): Match {
  const { operation, other: role, made } = decisions;
  const base = untied(baseSide, otherSide);
  const other = otherSide.tensors;
  const baseByName = new Map(base.map((tensor) => [tensor.name, tensor]));
  const otherByName = new Map(other.map((tensor) => [tensor.name, tensor]));
  const tiedAway = otherSide.tiesEmbeddings ? LM_HEAD : null;
  const tensors: MatchedTensor[] = [];
  const dropped: DroppedTensor[] = [];
  const problems = { names: [] as string[], shapes: [] as string[] };
  for (const name of mergedOrder(base, otherByName)) {
    const outcome =
      name === tiedAway
        ? ({
            name,
            from: baseByName.has(name) ? "base" : role,
            reason: `the ${role} ties it to embed_tokens, and so will the ${made}`,
          } as const)
        : decide(baseByName.get(name), otherByName.get(name), decisions);
    if ("problem" in outcome) problems[outcome.problem].push(name);
    else if ("from" in outcome) dropped.push(outcome);
    else tensors.push(outcome);
  }
  refuseMixedRows(baseByName, "base");
  refuseMixedRows(otherByName, role);
  // A quantized model has other names, too: what it is says more than a list of them.
  refuseQuantized(base, "base");
  refuseQuantized(other, role);
  if (problems.names.length > 0) throw explainNames(base, other, problems.names, role);
  if (problems.shapes.length > 0) throw explainShapes(base, other, problems.shapes, role);
  // Rules that drop everything would make a model without weights.
  if (tensors.length === 0)
    throw explainNames(base, other, [...baseByName.keys(), ...otherByName.keys()], role);
  for (const { base: fromBase, delta: fromOther } of tensors) {
    const copied = fromBase ?? fromOther;
    if ((fromBase === null || fromOther === null) && copied !== null && isWholeBytes(copied)) continue;
    if (fromBase !== null) checkDType(fromBase, "base", base);
    if (fromOther !== null) checkDType(fromOther, role, other);
  }
  return { operation, tensors, dropped };
}

function decide(base: TensorView | undefined, other: TensorView | undefined, decisions: Decisions): Outcome {
  if (base !== undefined && other !== undefined) return decisions.pair(base, other);
  return other === undefined ? decisions.baseOnly(base as TensorView) : decisions.otherOnly(other);
}

/** The base's tensors; where its `lm_head` is tied and the other's isn't, its embedding stands for both. */
function untied(base: MatchSide, other: MatchSide): readonly TensorView[] {
  const embedding = base.tensors.find(({ name }) => name === EMBEDDING);
  const has = ({ tensors }: MatchSide) => tensors.some(({ name }) => name === LM_HEAD);
  if (!base.tiesEmbeddings || has(base) || !has(other) || embedding === undefined) return base.tensors;
  return [...base.tensors, { ...embedding, name: LM_HEAD }];
}

/** Embedding and head have a row for each token, both; where they don't, shards of two releases are mixed. */
function refuseMixedRows(byName: ReadonlyMap<string, TensorView>, role: "base" | OtherSide): void {
  const [embed, head] = [byName.get(EMBEDDING), byName.get(LM_HEAD)];
  if (embed === undefined || head === undefined || embed.shape[0] === head.shape[0]) return;
  throw new ApplyDeltaError(
    "shapes-differ",
    `The ${role}'s embedding and its lm_head have different numbers of rows.`,
    {
      file: head.pieces[0].file.path,
      tensor: LM_HEAD,
      expected: `${embed.shape[0]} rows, as ${EMBEDDING} has`,
      got: `${head.shape[0]} rows`,
      hint: "Shards of two releases are mixed in the folder (Vicuna v0 has 32001 rows, v1.1 32000): download one of them again, whole.",
    },
  );
}

/** The other's order; a tensor that only the base has stands behind the one it follows in the base. */
function mergedOrder(base: readonly TensorView[], other: ReadonlyMap<string, TensorView>): string[] {
  const following = new Map<string | null, string[]>([[null, []]]);
  let anchor: string | null = null;
  for (const { name } of base) {
    if (other.has(name)) {
      anchor = name;
      following.set(name, []);
    } else {
      following.get(anchor)?.push(name);
    }
  }
  return [
    following.get(null) ?? [],
    ...[...other.keys()].map((name) => [name, ...(following.get(name) ?? [])]),
  ].flat();
}

function matchPair(
  base: TensorView,
  delta: TensorView,
  rules: MatchRules,
  replaced: ReadonlySet<string>,
): Outcome {
  const { name, shape } = delta;
  const matched = { name, shape, base, delta };
  if (replaced.has(name)) {
    const reason = "the delta holds it whole: it replaces the base's";
    return { ...matched, action: "copied", base: null, reason };
  }
  if (sameShape(base.shape, shape)) return { ...matched, action: "added", reason: null };
  const rows = newRowsOf(base, delta);
  if (rows > 0) {
    const count = describeRows(rows, "delta");
    if (rules.trimRows) {
      const trimmed = { shape: base.shape, delta: { ...delta, shape: base.shape } };
      return { ...matched, ...trimmed, action: "added", reason: `${count}: left out as asked` };
    }
    if (rules.newRows !== "error") {
      const value = rules.newRows === "zero" ? "zeros" : "the mean of its rows";
      const reason = `${count}: the base counts as ${value} there`;
      return { ...matched, action: "grown", newRows: rules.newRows, reason };
    }
  }
  return { problem: "shapes" };
}

function matchDeltaOnly(delta: TensorView, rules: MatchRules): Outcome {
  const { name, shape } = delta;
  const copied = { name, shape, action: "copied", base: null, delta } as const;
  if (isRotaryBuffer(name)) {
    return { name, from: "delta", reason: "rotary buffer follows the base, which has none" };
  }
  if (isLlavaProjector(name)) return { ...copied, reason: "LLaVA's projector, only in the delta" };
  if (rules.deltaOnly === "keep") return { ...copied, reason: "only in the delta, kept as asked" };
  if (rules.deltaOnly === "drop")
    return { name, from: "delta", reason: "only in the delta, dropped as asked" };
  return { problem: "names" };
}

function matchBaseOnly(base: TensorView, rules: MatchRules): Outcome {
  const { name, shape } = base;
  const copied = { name, shape, action: "copied", base, delta: null } as const;
  if (isRotaryBuffer(name)) return { ...copied, reason: "rotary buffer, only in the base" };
  if (rules.baseOnly === "keep") return { ...copied, reason: "only in the base, kept as asked" };
  if (rules.baseOnly === "drop") return { name, from: "base", reason: "only in the base, dropped as asked" };
  return { problem: "names" };
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((extent, dim) => extent === b[dim]);
}

/** How many rows of tokens the other side has more, in the same matrix; 0 where that isn't how they differ. */
export function newRowsOf(base: TensorView, { name, shape }: TensorView): number {
  const isGrown = base.shape.length === 2 && shape.length === 2 && base.shape[1] === shape[1];
  return hasRowsOfTokens(name) && isGrown ? Math.max(0, (shape[0] ?? 0) - (base.shape[0] ?? 0)) : 0;
}

/** `1 row that only the delta has`. */
export function describeRows(rows: number, role: OtherSide): string {
  return `${rows} ${rows === 1 ? "row" : "rows"} that only the ${role} has`;
}

function refuseQuantized(tensors: readonly TensorView[], role: "base" | OtherSide): void {
  const quantized = tensors.find(({ dtype }) => !isFloatDType(dtype));
  if (quantized !== undefined && isQuantized(tensors)) checkDType(quantized, role, tensors);
}

/** Whether its elements are bytes, which can be copied where nothing is added to them. */
function isWholeBytes({ dtype }: TensorView): boolean {
  return bitsOf(dtype) % 8 === 0;
}

function checkDType(tensor: TensorView, role: "base" | OtherSide, all: readonly TensorView[]): void {
  if (isFloatDType(tensor.dtype)) return;
  const { what, hint } = quantizationOf(all, role);
  throw new ApplyDeltaError("unsupported-dtype", `The ${role} ${what}.`, {
    file: tensor.pieces[0].file.path,
    tensor: tensor.name,
    expected: "float16, bfloat16, float32 or float64",
    got: tensor.dtype,
    hint,
  });
}
