/**
 * In: the tensors of base and delta. Out: for every tensor of the target, what it is made of and why.
 * Guards: no tensor vanishes or is invented silently. Whatever no rule explains is an error that lists it.
 * The rules and where they come from: docs/architecture.md, "Rules of matching".
 */
import { ApplyDeltaError } from "../errors.js";
import { isFloatDType, type TensorView } from "../tensor.js";
import { explainNames, explainShapes, isQuantized, quantizationOf } from "./explain.js";

export interface MatchRules {
  /** What the base counts as in rows that only the delta's embeddings have. */
  readonly newRows: "zero" | "mean" | "error";
  /** Whether rows that only the delta's embeddings have are left out instead (`[PAD]` of Vicuna v0). */
  readonly trimRows: boolean;
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
  /** Where `grown`: what the base counts as in the rows it lacks. */
  readonly newRows?: "zero" | "mean";
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

const EMBED = "model.embed_tokens.weight";
const LM_HEAD = "lm_head.weight";

/** The matrices with one row for each token, which grow when tokens are added. */
const EMBEDDINGS = new Set([EMBED, LM_HEAD]);

/** LLaVA's projector from the vision tower, which no LLaMA has. */
const LLAVA_PROJECTOR = /^model\.mm_projector\./;

type Outcome = MatchedTensor | DroppedTensor | { readonly problem: "names" | "shapes" };

/** One side of the sum. */
export interface MatchSide {
  readonly tensors: readonly TensorView[];
  /** Whether config.json says that `lm_head` is `embed_tokens` (`tie_word_embeddings`). */
  readonly tiesEmbeddings: boolean;
}

/** Matches by name. Errors: `names-differ`, `shapes-differ`, `unsupported-dtype`. */
export function matchTensors(baseSide: MatchSide, deltaSide: MatchSide, rules: MatchRules): Match {
  const base = untied(baseSide, deltaSide);
  const delta = deltaSide.tensors;
  const baseByName = new Map(base.map((tensor) => [tensor.name, tensor]));
  const deltaByName = new Map(delta.map((tensor) => [tensor.name, tensor]));
  const tiedAway = deltaSide.tiesEmbeddings && !deltaByName.has(LM_HEAD) ? LM_HEAD : null;
  const tensors: MatchedTensor[] = [];
  const dropped: DroppedTensor[] = [];
  const problems = { names: [] as string[], shapes: [] as string[] };
  for (const name of mergedOrder(base, deltaByName)) {
    const outcome =
      name === tiedAway
        ? ({
            name,
            from: "base",
            reason: "the delta ties it to embed_tokens, and so will the target",
          } as const)
        : matchOne(baseByName.get(name), deltaByName.get(name), rules);
    if ("problem" in outcome) problems[outcome.problem].push(name);
    else if ("from" in outcome) dropped.push(outcome);
    else tensors.push(outcome);
  }
  for (const side of ["base", "delta"] as const)
    refuseMixedRows(side === "base" ? baseByName : deltaByName, side);
  // A quantized model has other names, too: what it is says more than a list of them.
  refuseQuantized(base, "base");
  refuseQuantized(delta, "delta");
  if (problems.names.length > 0) throw explainNames(base, delta, problems.names);
  if (problems.shapes.length > 0) throw explainShapes(base, delta, problems.shapes);
  // Rules that drop everything would make a model without weights.
  if (tensors.length === 0) throw explainNames(base, delta, [...baseByName.keys(), ...deltaByName.keys()]);
  for (const { base: fromBase, delta: fromDelta } of tensors) {
    if (fromBase !== null) checkDType(fromBase, "base", base);
    if (fromDelta !== null) checkDType(fromDelta, "delta", delta);
  }
  return { tensors, dropped };
}

/** The base's tensors; where its `lm_head` is tied and the delta's isn't, its embedding stands for both. */
function untied(base: MatchSide, delta: MatchSide): readonly TensorView[] {
  const embedding = base.tensors.find(({ name }) => name === EMBED);
  const has = ({ tensors }: MatchSide) => tensors.some(({ name }) => name === LM_HEAD);
  if (!base.tiesEmbeddings || has(base) || !has(delta) || embedding === undefined) return base.tensors;
  return [...base.tensors, { ...embedding, name: LM_HEAD }];
}

/** Embedding and head have a row for each token, both; where they don't, shards of two releases are mixed. */
function refuseMixedRows(byName: ReadonlyMap<string, TensorView>, role: "base" | "delta"): void {
  const [embed, head] = [byName.get(EMBED), byName.get(LM_HEAD)];
  if (embed === undefined || head === undefined || embed.shape[0] === head.shape[0]) return;
  throw new ApplyDeltaError(
    "shapes-differ",
    `The ${role}'s embedding and its lm_head have different numbers of rows.`,
    {
      file: head.file.path,
      tensor: LM_HEAD,
      expected: `${embed.shape[0]} rows, as ${EMBED} has`,
      got: `${head.shape[0]} rows`,
      hint: "Shards of two releases are mixed in the folder (Vicuna v0 has 32001 rows, v1.1 32000): download one of them again, whole.",
    },
  );
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
  if (EMBEDDINGS.has(name) && growsRows(base.shape, shape)) {
    const rows = (shape[0] ?? 0) - (base.shape[0] ?? 0);
    const count = rows === 1 ? "1 row that only the delta has" : `${rows} rows that only the delta has`;
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

function refuseQuantized(tensors: readonly TensorView[], role: "base" | "delta"): void {
  const quantized = tensors.find(({ dtype }) => !isFloatDType(dtype));
  if (quantized !== undefined && isQuantized(tensors)) checkDType(quantized, role, tensors);
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
