/**
 * Makes a base and a delta in LLaMA's shapes on disk, in shards. The values are pairs of a base weight
 * and a true float16 difference to a tuned one, drawn once into a pool and laid out from different offsets.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { LayoutEntry } from "../src/formats/format.js";
import { encodeShardIndex } from "../src/formats/shard-index.js";
import { type FolderFormat, indexFileName, layOutShard, shardFileName } from "../src/formats/table.js";
import { instantiateKernel } from "../src/kernel/select.js";
import { elementCount } from "../src/tensor.js";
import { formatBytes, formatCount } from "../src/units.js";
import { tokenizerModel } from "./tokenizer-model.js";

/** Standard deviations of a weight and of its change in tuning. */
const BASE_DEVIATION = 0.02;
const TUNING_DEVIATION = 1e-3;

/** Of all of LLaMA's sizes. */
const HEAD_WIDTH = 128;

const POOL_ELEMENTS = 8 * 1024 * 1024;

export interface Pair {
  readonly base: string;
  readonly delta: string;
  readonly parameterCount: number;
  /** Bytes of one side's tensors. */
  readonly bytes: number;
}

/** What a layer's shapes are made of. */
export interface LayerSize {
  readonly width: number;
  readonly inner: number;
}

const VOCABULARY = 32000;

/** 7B's, and narrower ones. */
const SIZES: readonly LayerSize[] = [
  { width: 4096, inner: 11008 },
  { width: 2048, inner: 5504 },
  { width: 1024, inner: 2816 },
  { width: 256, inner: 704 },
];

const perLayer = ({ width, inner }: LayerSize) => 4 * width * width + 3 * width * inner + 2 * width;

/** The widest of 7B's and narrower layers of which a model of so many parameters has two. */
function fittingSize(parameters: number): LayerSize {
  const fits = (size: LayerSize) => 2 * VOCABULARY * size.width + 2 * perLayer(size) <= parameters;
  return SIZES.find(fits) ?? { width: 256, inner: 704 };
}

export function describePair({ parameterCount, bytes }: Pair): string {
  return `${formatCount(parameterCount)} parameters, ${formatBytes(bytes)} a side`;
}

/** LLaMA's tensors for a model of about `parameters`, with as many layers as that gives. */
export function llamaShapes(parameters: number, size = fittingSize(parameters)): LayoutEntry[] {
  const { width, inner } = size;
  const rest = parameters - 2 * VOCABULARY * width;
  const layers = Math.max(1, Math.round(rest / perLayer(size)));
  const entry = (name: string, ...shape: number[]): LayoutEntry => ({ name, dtype: "F16", shape });
  return [
    entry("model.embed_tokens.weight", VOCABULARY, width),
    ...Array.from({ length: layers }, (_, i) => [
      ...["q", "k", "v", "o"].map((p) => entry(`model.layers.${i}.self_attn.${p}_proj.weight`, width, width)),
      entry(`model.layers.${i}.mlp.gate_proj.weight`, inner, width),
      entry(`model.layers.${i}.mlp.up_proj.weight`, inner, width),
      entry(`model.layers.${i}.mlp.down_proj.weight`, width, inner),
      entry(`model.layers.${i}.input_layernorm.weight`, width),
      entry(`model.layers.${i}.post_attention_layernorm.weight`, width),
    ]).flat(),
    entry("model.norm.weight", width),
    entry("lm_head.weight", VOCABULARY, width),
  ];
}

export function makePair(
  folder: string,
  parameters: number,
  shardCount: number,
  { format = "safetensors", size }: { readonly format?: FolderFormat; readonly size?: LayerSize } = {},
): Pair {
  const entries = llamaShapes(parameters, size);
  const parameterCount = entries.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const pool = makePool();
  const pair = {
    base: join(folder, "base"),
    delta: join(folder, "delta"),
    parameterCount,
    bytes: parameterCount * 2,
  };
  for (const side of ["base", "delta"] as const) {
    writeModel(pair[side], format, entries, Math.ceil(entries.length / shardCount), pool[side]);
  }
  return pair;
}

function writeModel(
  folder: string,
  format: FolderFormat,
  entries: readonly LayoutEntry[],
  perShard: number,
  pool: Uint8Array,
): void {
  mkdirSync(folder, { recursive: true });
  const count = Math.ceil(entries.length / perShard);
  const shardOf = new Map<string, string>();
  const start = new Map(entries.map(({ name }, i) => [name, ((i * 1_000_003) % POOL_ELEMENTS) * 2]));
  for (let shard = 0; shard < count; shard++) {
    const name = shardFileName(format, shard + 1, count);
    const { pieces, placed } = layOutShard(
      format,
      name,
      entries.slice(shard * perShard, (shard + 1) * perShard),
    );
    const fd = openSync(join(folder, name), "w");
    for (const { bytes, offsetBytes } of pieces) writeSync(fd, bytes, 0, bytes.length, offsetBytes);
    for (const { tensor: entry, offsetBytes, byteLength } of placed) {
      shardOf.set(entry.name, name);
      let at = start.get(entry.name) ?? 0;
      for (let left = byteLength; left > 0; ) {
        const length = Math.min(left, pool.length - at);
        writeSync(fd, pool, at, length, offsetBytes + byteLength - left);
        left -= length;
        at = (at + length) % pool.length;
      }
    }
    closeSync(fd);
  }
  const parameters = entries.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const index = encodeShardIndex(shardOf, parameters, parameters * 2);
  if (count > 1) writeFileSync(join(folder, indexFileName(format)), index);
  const shapeOf = (part: string) => entries.find(({ name }) => name.includes(part))?.shape ?? [];
  const [rows = 0, width = 0] = shapeOf("embed_tokens");
  const heads = width / HEAD_WIDTH;
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    torch_dtype: "float16",
    vocab_size: rows,
    hidden_size: width,
    intermediate_size: shapeOf("gate_proj")[0],
    num_hidden_layers: entries.filter(({ name }) => name.endsWith("q_proj.weight")).length,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    ...{ bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 },
  };
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  writeFileSync(join(folder, "tokenizer.model"), tokenizerModel(rows));
}

function makePool(): { base: Uint8Array; delta: Uint8Array } {
  const kernel = instantiateKernel({ name: "reference" }, POOL_ELEMENTS * 8);
  const floats = new Float32Array(kernel.memory.buffer, 0, POOL_ELEMENTS);
  const halves = () => kernel.memory.slice(POOL_ELEMENTS * 4, POOL_ELEMENTS * 6);
  const roundToHalf = () => kernel.convert("F32", "F16", 0, POOL_ELEMENTS * 4, POOL_ELEMENTS);
  const normal = seededNormals(1);
  for (let i = 0; i < POOL_ELEMENTS; i++) floats[i] = normal() * BASE_DEVIATION;
  roundToHalf();
  const base = halves();
  kernel.convert("F16", "F32", POOL_ELEMENTS * 4, 0, POOL_ELEMENTS);
  const baseValues = floats.slice();
  for (let i = 0; i < POOL_ELEMENTS; i++) floats[i] = (floats[i] ?? 0) + normal() * TUNING_DEVIATION;
  roundToHalf();
  kernel.convert("F16", "F32", POOL_ELEMENTS * 4, 0, POOL_ELEMENTS);
  for (let i = 0; i < POOL_ELEMENTS; i++) floats[i] = (floats[i] ?? 0) - (baseValues[i] ?? 0);
  roundToHalf();
  return { base, delta: halves() };
}

/** Standard normal numbers by Box and Muller over a small linear congruential generator (Numerical Recipes). */
function seededNormals(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
