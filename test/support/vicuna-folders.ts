/** Folders of LLaMA and Vicuna with their true names and shapes, whose numbers are made up. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  difference,
  LIFE_SIZES,
  type LifeSize,
  lifeSizeModel,
  tuned,
  withRows,
  writeLifeSize,
} from "./life-size-model.js";
import { llamaPieces, sentencePieceModel } from "./sentencepiece-samples.js";

type Files = Record<string, string | Uint8Array>;

const PIECES = sentencePieceModel(llamaPieces(32_000));

export const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`;

export function config(size: LifeSize, more: object = {}): string {
  const { width, mlp, layers, heads } = LIFE_SIZES[size];
  return json({
    architectures: ["LlamaForCausalLM"],
    bos_token_id: 1,
    eos_token_id: 2,
    hidden_size: width,
    intermediate_size: mlp,
    max_position_embeddings: 2048,
    model_type: "llama",
    num_attention_heads: heads,
    num_hidden_layers: layers,
    pad_token_id: 0,
    rms_norm_eps: 1e-6,
    torch_dtype: "float16",
    vocab_size: 32_000,
    ...more,
  });
}

const SPECIAL_TOKENS = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" };

export function filesOf(size: LifeSize, more: Files = {}): Files {
  return {
    "config.json": config(size),
    "tokenizer.model": PIECES,
    "tokenizer_config.json": json({ ...SPECIAL_TOKENS, tokenizer_class: "LlamaTokenizer" }),
    "special_tokens_map.json": json(SPECIAL_TOKENS),
    ...more,
  };
}

/** LLaMA 1, Vicuna v1.1 and its delta, v0's delta; and models that have nothing to do with them. */
export const LLAMA = lifeSizeModel("7B");
const VICUNA = tuned(LLAMA);
export const DELTA = difference(VICUNA, LLAMA);
const DELTA_V0 = withRows(DELTA, 32_001);
export const LLAMA_2 = lifeSizeModel("7B", { seed: 7 });

export const BASE_NAME = "llama-7b";
export const DELTA_NAME = "vicuna-7b-delta-v1.1";
export const DELTA_V0_NAME = "vicuna-7b-delta-v0";

export const writeBase = (root: string, tensors = LLAMA, files: Files = {}) =>
  writeLifeSize(join(root, BASE_NAME), tensors, filesOf("7B", files));
export const writeDelta = (root: string, tensors = DELTA, files: Files = {}) =>
  writeLifeSize(join(root, DELTA_NAME), tensors, filesOf("7B", files));
export const writeDeltaV0 = (root: string, tensors = DELTA_V0) =>
  writeLifeSize(join(root, DELTA_V0_NAME), tensors, {
    ...filesOf("7B"),
    "config.json": config("7B", { vocab_size: 32_001 }),
  });

export function writeBoth(root: string): void {
  writeBase(root);
  writeDelta(root);
}

export function writeFiles(root: string, folder: string, files: Files): void {
  mkdirSync(join(root, folder), { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(root, folder, name), content);
}

export const apply = (base: string, delta: string, more = "") =>
  `--base ${base} --delta ${delta} --target vicuna-7b${more === "" ? "" : ` ${more}`}`;

export const APPLY = apply(BASE_NAME, DELTA_NAME);

/** What the dry run of a 7B model in float16 asks for. */
export const ROOM_7B = 13.5e9;
