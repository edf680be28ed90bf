/**
 * Models with LLaMA's true names and shapes in files of a few hundred kB: the rows of a matrix are all the same, so a
 * PyTorch file stores one and views it with a stride of 0, and all layers view the same storages. What the program
 * says of them is what it says of real ones, sizes included. Merging one would write gigabytes: for errors and dry
 * runs only.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SumDType } from "../../src/tensor.js";
import { encodeNumbers, roundTo, seededNormals } from "./numbers.js";
import { checkpointEntries, stateDict, storedZip, tensor as torchTensor } from "./torch-samples.js";

export const LIFE_SIZES = {
  "7B": { width: 4096, mlp: 11_008, layers: 32, heads: 32 },
  "13B": { width: 5120, mlp: 13_824, layers: 40, heads: 40 },
} as const;

export type LifeSize = keyof typeof LIFE_SIZES;

/** A matrix whose rows all equal `row`, or a vector. */
export interface RepeatedTensor {
  readonly name: string;
  /** Tensors of one kind share a storage. */
  readonly kind: string;
  readonly dtype: SumDType;
  readonly shape: readonly number[];
  readonly row: Float64Array;
}

/** Names, kinds and shapes of a LLaMA; `rows` is the number of its tokens. */
export function lifeSizeShapes(
  size: LifeSize,
  rows: number,
): Pick<RepeatedTensor, "name" | "kind" | "shape">[] {
  const { width, mlp, layers } = LIFE_SIZES[size];
  const inLayer: [kind: string, shape: number[]][] = [
    ...["q", "k", "v", "o"].map((p): [string, number[]] => [`self_attn.${p}_proj`, [width, width]]),
    ["mlp.gate_proj", [mlp, width]],
    ["mlp.up_proj", [mlp, width]],
    ["mlp.down_proj", [width, mlp]],
    ["input_layernorm", [width]],
    ["post_attention_layernorm", [width]],
  ];
  return [
    { name: "model.embed_tokens.weight", kind: "embed", shape: [rows, width] },
    ...Array.from({ length: layers }, (_, layer) =>
      inLayer.map(([kind, shape]) => ({ name: `model.layers.${layer}.${kind}.weight`, kind, shape })),
    ).flat(),
    { name: "model.norm.weight", kind: "norm", shape: [width] },
    { name: "lm_head.weight", kind: "lm_head", shape: [rows, width] },
  ];
}

/** A float16 model with weights as large as LLaMA's. */
export function lifeSizeModel(size: LifeSize, { rows = 32_000, seed = 1 } = {}): RepeatedTensor[] {
  const normal = seededNormals(seed);
  const made = new Map<string, Float64Array>();
  const rowOf = (kind: string, length: number): Float64Array => {
    const row = made.get(kind) ?? Float64Array.from({ length }, () => roundTo("F16", normal() * 0.02));
    made.set(kind, row);
    return row;
  };
  return lifeSizeShapes(size, rows).map((tensor) => ({
    ...tensor,
    dtype: "F16",
    row: rowOf(tensor.kind, tensor.shape.at(-1) ?? 0),
  }));
}

/** The tensors with every number changed; rows that are shared stay shared. */
export function mapNumbers(
  tensors: readonly RepeatedTensor[],
  change: (value: number, at: number, kind: string) => number,
): RepeatedTensor[] {
  const made = new Map<string, Float64Array>();
  return tensors.map((tensor) => {
    const row = made.get(tensor.kind) ?? tensor.row.map((value, at) => change(value, at, tensor.kind));
    made.set(tensor.kind, row);
    return { ...tensor, row };
  });
}

/** What training by a deviation of 0.001 makes of a float16 model. */
export function tuned(tensors: readonly RepeatedTensor[], seed = 2): RepeatedTensor[] {
  const normal = seededNormals(seed);
  return mapNumbers(tensors, (value) => roundTo("F16", value + normal() * 1e-3));
}

/** `model` minus `base`, as a delta is made. */
export function difference(
  model: readonly RepeatedTensor[],
  base: readonly RepeatedTensor[],
): RepeatedTensor[] {
  const rows = new Map(base.map(({ kind, row }) => [kind, row]));
  return mapNumbers(model, (value, at, kind) => roundTo("F16", value - (rows.get(kind)?.[at] ?? 0)));
}

/** Embedding and head with another number of rows. */
export function withRows(tensors: readonly RepeatedTensor[], rows: number): RepeatedTensor[] {
  return tensors.map((tensor) =>
    ["embed", "lm_head"].includes(tensor.kind)
      ? { ...tensor, shape: [rows, ...tensor.shape.slice(1)] }
      : tensor,
  );
}

/** Writes `pytorch_model-0000i-of-00002.bin` and their index, the embedding in the first and the head in the last. */
export function writeLifeSize(
  folder: string,
  tensors: readonly RepeatedTensor[],
  files: Readonly<Record<string, string | Uint8Array>>,
): string {
  mkdirSync(folder, { recursive: true });
  const split = Math.ceil(tensors.length * 0.75);
  const shards = [tensors.slice(0, split), tensors.slice(split)];
  const nameOf = (shard: number) => `pytorch_model-0000${shard + 1}-of-0000${shards.length}.bin`;
  for (const [i, shard] of shards.entries()) writeFileSync(join(folder, nameOf(i)), torchFileOf(shard));
  const weightMap = shards.flatMap((shard, i) => shard.map(({ name }) => [name, nameOf(i)] as const));
  const index = { metadata: { total_size: 0 }, weight_map: Object.fromEntries(weightMap) };
  writeFileSync(join(folder, "pytorch_model.bin.index.json"), JSON.stringify(index));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

function torchFileOf(tensors: readonly RepeatedTensor[]): Buffer {
  const types = { F16: "HalfStorage", BF16: "BFloat16Storage", F32: "FloatStorage" } as const;
  const records: Record<string, Buffer> = {};
  const nodes = tensors.map(({ name, kind, dtype, shape, row }) => {
    records[kind] ??= Buffer.from(encodeNumbers(dtype, row));
    const strides = shape.length === 1 ? [1] : [0, 1];
    return [name, torchTensor({ key: kind, type: types[dtype], numel: row.length, shape, strides })] as const;
  });
  return storedZip(checkpointEntries(stateDict(Object.fromEntries(nodes)), records));
}
