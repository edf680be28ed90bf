/**
 * In: what didn't match. Out: the error that lists it and says which mistake usually gives it.
 */
import { ApplyDeltaError } from "../errors.js";
import type { TensorView } from "../tensor.js";
import { sizeOfWidth } from "./config-hints.js";

const EMBED = "model.embed_tokens.weight";

/** How many names an error lists before it says "and N more". */
const LISTED = 10;

/** `names-differ`, with the names on each side alone. */
export function explainNames(
  base: readonly TensorView[],
  delta: readonly TensorView[],
  names: readonly string[],
): ApplyDeltaError {
  const otherSizes = explainSizes(base, delta);
  if (otherSizes !== null) return otherSizes;
  const inBase = new Set(base.map((tensor) => tensor.name));
  const baseOnly = names.filter((name) => inBase.has(name));
  const deltaOnly = names.filter((name) => !inBase.has(name));
  const parts = [
    baseOnly.length > 0 ? `only in the base (${baseOnly.length}): ${list(baseOnly)}` : "",
    deltaOnly.length > 0 ? `only in the delta (${deltaOnly.length}): ${list(deltaOnly)}` : "",
  ].filter((part) => part !== "");
  return new ApplyDeltaError("names-differ", "Base and delta don't hold the same tensors.", {
    expected: `the same names on both sides (base ${base.length}, delta ${delta.length})`,
    got: parts.join("; "),
    hint: namesHint(base, delta, baseOnly, deltaOnly),
  });
}

/** Where both width and depth differ, a list of names would hide what is plain. */
function explainSizes(base: readonly TensorView[], delta: readonly TensorView[]): ApplyDeltaError | null {
  const [ofBase, ofDelta] = [sizeOf(base), sizeOf(delta)];
  if (ofBase === null || ofDelta === null) return null;
  if (ofBase.width === ofDelta.width || ofBase.layers === ofDelta.layers) return null;
  const describe = ({ width, layers }: ModelSize) => `${sizeOfWidth(width)} (${layers} layers)`;
  return new ApplyDeltaError("names-differ", "Base and delta are of different model sizes.", {
    expected: "the same size on both sides",
    got: `base ${describe(ofBase)}, delta ${describe(ofDelta)}`,
    hint: `Give the base of the delta's size, ${sizeOfWidth(ofDelta.width)}, or the delta of the base's.`,
  });
}

interface ModelSize {
  readonly width: number;
  readonly layers: number;
}

/** By the embedding and the names; null where they don't tell. */
function sizeOf(tensors: readonly TensorView[]): ModelSize | null {
  const width = tensors.find(({ name }) => name === EMBED)?.shape[1];
  const layers = layerCount(tensors);
  return width === undefined || layers === 0 ? null : { width, layers };
}

function namesHint(
  base: readonly TensorView[],
  delta: readonly TensorView[],
  baseOnly: readonly string[],
  deltaOnly: readonly string[],
): string {
  const layers = { base: layerCount(base), delta: layerCount(delta) };
  if (layers.base !== layers.delta && layers.base > 0 && layers.delta > 0) {
    return `The base has ${layers.base} layers and the delta ${layers.delta}: they are of different model sizes, or a shard is missing. Give the base the delta was made for.`;
  }
  if (deltaOnly.length === 0) {
    return "If the delta is complete, these tensors were left unchanged: take them from the base with --base-only keep.";
  }
  if (baseOnly.length === 0) {
    return "If the delta adds these tensors whole, take them with --delta-only keep, or leave them out with --delta-only drop.";
  }
  return "Check that both are Hugging Face checkpoints of one model, neither in another naming (Meta's, GPTQ's, an adapter's).";
}

/** `shapes-differ`, with the shapes of each tensor that is concerned. */
export function explainShapes(
  base: readonly TensorView[],
  delta: readonly TensorView[],
  names: readonly string[],
): ApplyDeltaError {
  const baseShape = new Map(base.map((tensor) => [tensor.name, tensor.shape]));
  const deltaShape = new Map(delta.map((tensor) => [tensor.name, tensor.shape]));
  const shapes = (name: string) =>
    `${name}: base [${baseShape.get(name)?.join(", ")}], delta [${deltaShape.get(name)?.join(", ")}]`;
  return new ApplyDeltaError("shapes-differ", "Tensors of base and delta differ in shape.", {
    expected: "equal shapes",
    got: `${names.length} that differ: ${list(names.map(shapes), "; ")}`,
    hint: shapesHint(baseShape, deltaShape),
  });
}

type Shapes = ReadonlyMap<string, readonly number[]>;

function shapesHint(base: Shapes, delta: Shapes): string {
  const [baseRows = 0, baseWidth = 0] = base.get(EMBED) ?? [];
  const [deltaRows = 0, deltaWidth = 0] = delta.get(EMBED) ?? [];
  if (baseWidth !== deltaWidth) {
    return `The base is ${sizeOfWidth(baseWidth)} and the delta ${sizeOfWidth(deltaWidth)}: give the base of the delta's size.`;
  }
  if (deltaRows < baseRows) {
    return "The base has more rows than the delta: it is not the original model but one with added tokens (a merged v0 Vicuna?), or base and delta are swapped. Give the original LLaMA as --base.";
  }
  if (deltaRows > baseRows) {
    return "The delta has rows for added tokens (Vicuna v0 does): allow them with --new-rows zero.";
  }
  return "Base and delta belong to different models: check which base the delta was made for.";
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
  role: "base" | "delta",
): { what: string; hint: string } {
  const what = quantizationIn(tensors)?.what ?? "holds a tensor of a dtype that can't be added";
  const hint = `Give the ${role} in float16, bfloat16 or float32, as it was released: a quantized model can't take part in the sum.`;
  return { what, hint };
}

function layerCount(tensors: readonly TensorView[]): number {
  return new Set(tensors.map(({ name }) => /\.layers\.(\d+)\./.exec(name)?.[1]).filter(Boolean)).size;
}

function list(items: readonly string[], separator = ", "): string {
  const more = items.length - LISTED;
  return items.slice(0, LISTED).join(separator) + (more > 0 ? `${separator}and ${more} more` : "");
}
