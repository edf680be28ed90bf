/**
 * Models on disk for end-to-end tests: tensors from numbers, files in either format written by code of their own
 * (nothing of src/output), folders with the files that lie beside weights, in temporary folders that go away.
 */
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { TestContext } from "node:test";
import { denseStrides, type FloatDType } from "../../src/tensor.js";
import { decodeNumbers, encodeNumbers, roundTo, seededNormals } from "./numbers.js";
import { llamaPieces, sentencePieceModel } from "./sentencepiece-samples.js";
import { checkpointEntries, stateDict, storedZip, tensor as torchTensor } from "./torch-samples.js";

export interface Tensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A folder that is removed when the test ends. */
export function temporaryFolder(context: TestContext, parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, "vicuna-test-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Folders of these names with these files, beside each other. Returns their paths. */
export function writeFolders<Name extends string>(
  context: TestContext,
  folders: Readonly<Record<Name, Readonly<Record<string, string | Uint8Array>>>>,
): Record<Name, string> {
  const root = temporaryFolder(context);
  const paths = {} as Record<Name, string>;
  for (const [name, files] of Object.entries(folders) as [Name, Record<string, string | Uint8Array>][]) {
    paths[name] = join(root, name);
    mkdirSync(paths[name]);
    for (const [file, content] of Object.entries(files)) writeFileSync(join(paths[name], file), content);
  }
  return paths;
}

export function floats(
  name: string,
  dtype: FloatDType,
  shape: readonly number[],
  values: ArrayLike<number>,
): Tensor {
  return { name, dtype, shape, bytes: encodeNumbers(dtype, values) };
}

/** A safetensors file with the tensors in the order given. */
export function safetensorsFile(tensors: readonly Tensor[]): Buffer {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, bytes }) => {
    const begin = end;
    end += bytes.length;
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const header = { __metadata__: { format: "pt" }, ...Object.fromEntries(entries) };
  return safetensorsOf(JSON.stringify(header), Buffer.concat(tensors.map(({ bytes }) => bytes)));
}

/** A safetensors file of any header and data. */
export function safetensorsOf(header: string, data: Uint8Array, headerLength?: bigint): Buffer {
  const json = Buffer.from(header, "utf8");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(headerLength ?? BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

const TORCH_STORAGES: Record<string, string> = {
  F16: "HalfStorage",
  BF16: "BFloat16Storage",
  F32: "FloatStorage",
  F64: "DoubleStorage",
  I8: "CharStorage",
  I32: "IntStorage",
};

/** What `torch.save` writes for a state dict, each tensor in a storage of its own. */
export function torchFile(tensors: readonly Tensor[]): Buffer {
  const nodes = tensors.map(({ name, dtype, shape }, i) => {
    const numel = shape.reduce((product, extent) => product * extent, 1);
    const type = TORCH_STORAGES[dtype] ?? "ByteStorage";
    return [name, torchTensor({ key: `${i}`, type, numel, shape, strides: denseStrides(shape) })] as const;
  });
  const records = Object.fromEntries(tensors.map(({ bytes }, i) => [`${i}`, Buffer.from(bytes)]));
  return storedZip(checkpointEntries(stateDict(Object.fromEntries(nodes)), records));
}

export interface ModelOptions {
  readonly format?: "safetensors" | "torch";
  /** More than one: as many shards, with an index. */
  readonly shards?: number;
  /** Files beside the weights, by name; replaces the usual ones. */
  readonly files?: Readonly<Record<string, string>>;
}

const CONFIG = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  torch_dtype: "float16",
  vocab_size: 64,
};
const FILES = {
  "config.json": `${JSON.stringify(CONFIG, null, 2)}\n`,
  "tokenizer.model": sentencePieceModel(llamaPieces(CONFIG.vocab_size)).toString("latin1"),
  "tokenizer_config.json": "{}\n",
  "special_tokens_map.json": `${JSON.stringify({ bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" })}\n`,
};

/** Writes a model folder and returns its path. */
export function writeModel(folder: string, tensors: readonly Tensor[], options: ModelOptions = {}): string {
  const { format = "safetensors", shards = 1, files = FILES } = options;
  mkdirSync(folder, { recursive: true });
  const encode = format === "safetensors" ? safetensorsFile : torchFile;
  const [stem, ending] = format === "safetensors" ? ["model", "safetensors"] : ["pytorch_model", "bin"];
  const weightMap: Record<string, string> = {};
  const perShard = Math.ceil(tensors.length / shards);
  const pad = (value: number) => String(value).padStart(5, "0");
  for (let shard = 0; shard < shards; shard++) {
    const part = tensors.slice(shard * perShard, (shard + 1) * perShard);
    const name = shards === 1 ? `${stem}.${ending}` : `${stem}-${pad(shard + 1)}-of-${pad(shards)}.${ending}`;
    writeFileSync(join(folder, name), encode(part));
    for (const tensor of part) weightMap[tensor.name] = name;
  }
  if (shards > 1) {
    const index = { metadata: { total_size: 0 }, weight_map: weightMap };
    writeFileSync(join(folder, `${stem}.${ending}.index.json`), JSON.stringify(index));
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** Names and shapes of a very small LLaMA with two layers. */
export function tinyShapes(
  rows = 64,
  width = 32,
  layers = 2,
): { readonly name: string; readonly shape: readonly number[] }[] {
  const layer = (i: number) => [
    ...["q", "k", "v", "o"].map((p) => ({
      name: `model.layers.${i}.self_attn.${p}_proj.weight`,
      shape: [width, width],
    })),
    { name: `model.layers.${i}.mlp.gate_proj.weight`, shape: [2 * width, width] },
    { name: `model.layers.${i}.mlp.up_proj.weight`, shape: [2 * width, width] },
    { name: `model.layers.${i}.mlp.down_proj.weight`, shape: [width, 2 * width] },
    { name: `model.layers.${i}.input_layernorm.weight`, shape: [width] },
    { name: `model.layers.${i}.post_attention_layernorm.weight`, shape: [width] },
  ];
  return [
    { name: "model.embed_tokens.weight", shape: [rows, width] },
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    { name: "model.norm.weight", shape: [width] },
    { name: "lm_head.weight", shape: [rows, width] },
  ];
}

export interface TinyPair {
  readonly base: Tensor[];
  readonly delta: Tensor[];
  readonly tuned: Tensor[];
}

/** A base, a tuned model and their true float16 difference. */
export function tinyPair(seed = 1, shapes = tinyShapes(), deviation = 1e-3): TinyPair {
  const normal = seededNormals(seed);
  const pair: TinyPair = { base: [], delta: [], tuned: [] };
  for (const { name, shape } of shapes) {
    const count = shape.reduce((product, extent) => product * extent, 1);
    const base = Float64Array.from({ length: count }, () => roundTo("F16", normal() * 0.02));
    const tuned = base.map((value) => roundTo("F16", value + normal() * deviation));
    const delta = tuned.map((value, i) => value - (base[i] ?? 0));
    pair.base.push(floats(name, "F16", shape, base));
    pair.tuned.push(floats(name, "F16", shape, tuned));
    pair.delta.push(floats(name, "F16", shape, delta));
  }
  return pair;
}

/** The tensors with one of them changed. */
export function withTensor(
  tensors: readonly Tensor[],
  name: string,
  change: (tensor: Tensor) => Tensor,
): Tensor[] {
  return tensors.map((tensor) => (tensor.name === name ? change(tensor) : tensor));
}

/** The tensors of a safetensors file, read without any checks. */
export function readSafetensorsFile(path: string): Tensor[] {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => ({
        name,
        dtype,
        shape,
        bytes: file.subarray(start + begin, start + end),
      }),
    );
}

/** The numbers of one tensor of a safetensors file. */
export function readNumbers(path: string, name: string): Float64Array {
  const tensor = readSafetensorsFile(path).find((candidate) => candidate.name === name);
  if (tensor === undefined) throw new Error(`${name} is not in ${path}`);
  return decodeNumbers(tensor.dtype as FloatDType, tensor.bytes);
}

/** Every path below a folder, with the content of files: two listings are equal if nothing was touched. */
export function listing(folder: string): Record<string, string> {
  const entries: Record<string, string> = {};
  const walk = (path: string) => {
    for (const name of readdirSync(path).sort()) {
      const child = join(path, name);
      const stat = lstatSync(child);
      entries[relative(folder, child)] = stat.isFile() ? `${stat.size} bytes, ${stat.mtimeMs}` : "not a file";
      if (stat.isDirectory()) walk(child);
    }
  };
  walk(folder);
  return entries;
}
