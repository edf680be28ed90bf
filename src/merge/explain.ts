/** The error for tensors that don't match: it lists them and says which mistake usually gives it. */

import { sizeOfWidth } from "../base-check/config-hints.js";
import { ApplyDeltaError } from "../errors.js";
import { EMBEDDING, LM_HEAD } from "../llama/tensor-names.js";
import type { TensorView } from "../tensor.js";
import { listed } from "../units.js";

/** What stands beside the base: the delta that is applied, or the tuned model that a delta is made of. */
export type OtherSide = "delta" | "tuned model";

/** What to do, where that depends on what stands beside the base. */
const WAYS_OUT: Record<
  OtherSide,
  Record<"rightBase" | "baseOnly" | "otherOnly" | "moreRowsInBase" | "moreRows" | "otherModel", string>
> = {
  delta: {
    rightBase: "Give the base the delta was made for.",
    baseOnly:
      "If the delta is complete, these tensors were left unchanged: take them from the base with --base-only keep.",
    otherOnly:
      "If the delta adds these tensors whole, take them with --delta-only keep, or leave them out with --delta-only drop.",
    moreRowsInBase:
      "The base has more rows than the delta: it is not the original model but one with added tokens (a merged v0 Vicuna?), or base and delta are swapped. Give the original LLaMA as --base.",
    moreRows: "The delta has rows for added tokens (Vicuna v0 does): allow them with --new-rows zero.",
    otherModel: "Base and delta belong to different models: check which base the delta was made for.",
  },
  "tuned model": {
    rightBase: "Give the base the tuned model was made from.",
    baseOnly:
      "If the tuned model is complete without them, say so with --base-only drop; who applies the delta says the same.",
    otherOnly:
      "Take these tensors whole into the delta with --tuned-only keep, or leave them out with --tuned-only drop.",
    moreRowsInBase:
      "The base has more rows than the tuned model: it is not the model that was tuned, or the two are swapped. Give the original model as --base, the tuned one as --tuned.",
    moreRows: "Base and tuned model belong to different models: give the base the tuned model was made from.",
    otherModel:
      "Base and tuned model belong to different models: give the base the tuned model was made from.",
  },
};

const NO_HEAD =
  "The base was saved without its head (as LlamaModel, not LlamaForCausalLM): give one that has lm_head.weight. Only if the delta holds the whole head and no difference, take it with --delta-only keep.";

/** `names-differ`, with the names on each side alone. */
export function explainNames(
  base: readonly TensorView[],
  other: readonly TensorView[],
  names: readonly string[],
  role: OtherSide,
): ApplyDeltaError {
  const otherSizes = explainSizes(base, other, role);
  if (otherSizes !== null) return otherSizes;
  const inBase = new Set(base.map((tensor) => tensor.name));
  const baseOnly = names.filter((name) => inBase.has(name));
  const otherOnly = names.filter((name) => !inBase.has(name));
  const parts = [
    baseOnly.length > 0 ? `only in the base (${baseOnly.length}): ${listed(baseOnly)}` : "",
    otherOnly.length > 0 ? `only in the ${role} (${otherOnly.length}): ${listed(otherOnly)}` : "",
  ].filter((part) => part !== "");
  return new ApplyDeltaError("names-differ", `Base and ${role} don't hold the same tensors.`, {
    expected: `the same names on both sides (base ${base.length}, ${role} ${other.length})`,
    got: parts.join("; "),
    hint: namesHint(base, other, { baseOnly, otherOnly }, role),
  });
}

/** Where both width and depth differ, a list of names would hide what is plain. */
function explainSizes(
  base: readonly TensorView[],
  other: readonly TensorView[],
  role: OtherSide,
): ApplyDeltaError | null {
  const [ofBase, ofOther] = [sizeOf(base), sizeOf(other)];
  if (ofBase === null || ofOther === null) return null;
  if (ofBase.width === ofOther.width || ofBase.layers === ofOther.layers) return null;
  const describe = ({ width, layers }: ModelSize) => `${sizeOfWidth(width)} (${layers} layers)`;
  return new ApplyDeltaError("names-differ", `Base and ${role} are of different model sizes.`, {
    expected: "the same size on both sides",
    got: `base ${describe(ofBase)}, ${role} ${describe(ofOther)}`,
    hint: `Give the base of the ${role}'s size, ${sizeOfWidth(ofOther.width)}, or the ${role} of the base's.`,
  });
}

interface ModelSize {
  readonly width: number;
  readonly layers: number;
}

/** By the embedding and the names; null where they don't tell. */
function sizeOf(tensors: readonly TensorView[]): ModelSize | null {
  const width = tensors.find(({ name }) => name === EMBEDDING)?.shape[1];
  const layers = layerCount(tensors);
  return width === undefined || layers === 0 ? null : { width, layers };
}

function namesHint(
  base: readonly TensorView[],
  other: readonly TensorView[],
  { baseOnly, otherOnly }: Record<"baseOnly" | "otherOnly", readonly string[]>,
  role: OtherSide,
): string {
  const layers = { base: layerCount(base), other: layerCount(other) };
  if (layers.base !== layers.other && layers.base > 0 && layers.other > 0) {
    return `The base has ${layers.base} layers and the ${role} ${layers.other}: they are of different model sizes, or a shard is missing. ${WAYS_OUT[role].rightBase}`;
  }
  if (otherOnly.length === 0) return WAYS_OUT[role].baseOnly;
  if (baseOnly.length === 0 && role === "delta" && otherOnly.includes(LM_HEAD)) return NO_HEAD;
  if (baseOnly.length === 0) return WAYS_OUT[role].otherOnly;
  return "Check that both are Hugging Face checkpoints of one model, neither in another naming (Meta's, GPTQ's, an adapter's).";
}

/** `shapes-differ`, with the shapes of each tensor that is concerned. */
export function explainShapes(
  base: readonly TensorView[],
  other: readonly TensorView[],
  names: readonly string[],
  role: OtherSide,
): ApplyDeltaError {
  const baseShape = new Map(base.map((tensor) => [tensor.name, tensor.shape]));
  const otherShape = new Map(other.map((tensor) => [tensor.name, tensor.shape]));
  const shapes = (name: string) =>
    `${name}: base [${baseShape.get(name)?.join(", ")}], ${role} [${otherShape.get(name)?.join(", ")}]`;
  return new ApplyDeltaError("shapes-differ", `Tensors of base and ${role} differ in shape.`, {
    expected: "equal shapes",
    got: `${names.length} that differ: ${listed(names.map(shapes), 10, "; ")}`,
    hint: shapesHint(baseShape, otherShape, role),
  });
}

type Shapes = ReadonlyMap<string, readonly number[]>;

function shapesHint(base: Shapes, other: Shapes, role: OtherSide): string {
  const [baseRows = 0, baseWidth = 0] = base.get(EMBEDDING) ?? [];
  const [otherRows = 0, otherWidth = 0] = other.get(EMBEDDING) ?? [];
  if (baseWidth !== otherWidth) {
    return `The base is ${sizeOfWidth(baseWidth)} and the ${role} ${sizeOfWidth(otherWidth)}: give the base of the ${role}'s size.`;
  }
  if (otherRows < baseRows) return WAYS_OUT[role].moreRowsInBase;
  return otherRows > baseRows ? WAYS_OUT[role].moreRows : WAYS_OUT[role].otherModel;
}

/** Names that only a quantized checkpoint has, and what it is then. */
const QUANTIZED: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /\.qzeros$|\.g_idx$/, what: "is quantized (GPTQ or AWQ)" },
  { pattern: /\.SCB$|\.weight_format$/, what: "is quantized (bitsandbytes int8)" },
  { pattern: /\.quant_state\.|\.absmax$/, what: "is quantized (bitsandbytes 4 bit)" },
];

const quantizationIn = (tensors: readonly TensorView[]) =>
  QUANTIZED.find(({ pattern }) => tensors.some(({ name }) => pattern.test(name)));

/** Whether names say that the checkpoint is quantized. */
export function isQuantized(tensors: readonly TensorView[]): boolean {
  return quantizationIn(tensors) !== undefined;
}

/** Says what a checkpoint with integer or 8-bit tensors is, and what to give instead. */
export function quantizationOf(
  tensors: readonly TensorView[],
  role: "base" | OtherSide,
): { what: string; hint: string } {
  const what = quantizationIn(tensors)?.what ?? "holds a tensor of a dtype that can't be added";
  const hint = `Give the ${role} in float16, bfloat16 or float32, as it was released: a quantized model can't take part in the sum.`;
  return { what, hint };
}

function layerCount(tensors: readonly TensorView[]): number {
  return new Set(tensors.map(({ name }) => /\.layers\.(\d+)\./.exec(name)?.[1]).filter(Boolean)).size;
}
