/** A model's config.json: read, with only the fields that this program uses checked, and made true to the tensors. */
import { join } from "node:path";
import * as z from "zod";
import { JsonDraft, type JsonFile, listOf } from "../files/json-draft.js";
import { sourceExists } from "../files/local-file.js";
import { readAssetText } from "../files/small-file.js";
import type { ModelConfig } from "./documents.js";
import { CONFIG, GENERATION_CONFIG } from "./file-names.js";
import type { SpecialRole } from "./sentencepiece.js";
import { embeddingOf, layerOf } from "./tensor-names.js";

/** A model has one; each that is misspelt is corrected by itself. */
const MAX_ARCHITECTURES = 16;

/** Families whose configuration class in transformers ties the head unless config.json says otherwise. */
const TIED_BY_DEFAULT = /^(?:gemma|cohere)/;

const text = z.string().nullable().default(null);
const number = z.number().nullable().default(null);
const extent = z.int().positive().nullable().default(null);
const tokenIds = z.union([z.int(), listOf(z.int())]).nullish();

/** Ids of special tokens, which generation_config.json has, too. */
const tokenIdFields = { bos_token_id: tokenIds, eos_token_id: tokenIds, pad_token_id: tokenIds };

const generationConfigSchema = z.looseObject(tokenIdFields);

/** transformers 4.43 renamed `type`; it writes both. */
const ropeFields = z.looseObject({ type: text, rope_type: text, factor: number });

const configFileSchema = z.looseObject({
  ...tokenIdFields,
  architectures: listOf(z.string())
    .refine((names) => names.length <= MAX_ARCHITECTURES, { error: `more than ${MAX_ARCHITECTURES}` })
    .nullish(),
  model_type: text,
  hidden_size: extent,
  intermediate_size: extent,
  num_hidden_layers: extent,
  num_attention_heads: extent,
  num_key_value_heads: extent,
  head_dim: extent,
  vocab_size: z.int().nonnegative().nullable().default(null),
  max_position_embeddings: extent,
  max_sequence_length: extent,
  rms_norm_eps: number,
  rope_scaling: ropeFields.nullable().default(null),
  rope_theta: number,
  // transformers 5 writes both in one.
  rope_parameters: ropeFields.extend({ rope_theta: number }).nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  torch_dtype: text,
  dtype: text,
  _name_or_path: text,
});

/** LLaMA 1's, for which the deltas were made; transformers' own default, too. */
export const DEFAULT_CONTEXT_TOKENS = 2048;

/** Null if the folder has no config.json. Errors: `bad-json`, `lfs-pointer`, `source-unreadable`. */
export function readModelConfig(folder: string): ModelConfig | null {
  const path = join(folder, CONFIG);
  return sourceExists(path) ? parseModelConfig(readAssetText(path)) : null;
}

/** Errors: `bad-json`. */
export function parseModelConfig(file: JsonFile): ModelConfig {
  const raw = new JsonDraft(file, configFileSchema).value;
  const rope = raw.rope_parameters ?? raw.rope_scaling;
  const ropeType = rope?.rope_type ?? rope?.type ?? null;
  return {
    architectures: raw.architectures ?? [],
    modelType: raw.model_type,
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layers: raw.num_hidden_layers,
    attentionHeads: raw.num_attention_heads,
    keyValueHeads: raw.num_key_value_heads ?? raw.num_attention_heads,
    headDim: raw.head_dim,
    vocabSize: raw.vocab_size,
    maxPositionEmbeddings: raw.max_position_embeddings,
    maxSequenceLength: raw.max_sequence_length,
    rmsNormEps: raw.rms_norm_eps,
    ropeScaling: rope === null || ropeType === "default" ? null : { type: ropeType, factor: rope.factor },
    ropeTheta: raw.rope_parameters?.rope_theta ?? raw.rope_theta,
    tieWordEmbeddings: raw.tie_word_embeddings ?? TIED_BY_DEFAULT.test(raw.model_type ?? ""),
    // transformers 5 writes `dtype`; some early files have `torch.float16`.
    torchDType: (raw.dtype ?? raw.torch_dtype)?.replace(/^torch\./, "") ?? null,
    bosTokenId: firstOf(raw.bos_token_id),
    eosTokenId: firstOf(raw.eos_token_id),
    padTokenId: firstOf(raw.pad_token_id),
    nameOrPath: raw._name_or_path,
  };
}

/** Whether LLaMA's pieces and special tokens may be taken for granted. LLaVA's language model is a LLaMA. */
export function isLlama({ modelType, architectures }: ModelConfig): boolean {
  return modelType === "llama" || modelType === "llava" || /^(?:l+ama|llava)/i.test(architectures[0] ?? "");
}

/**
 * Tokens the model was made for: positions times the factor of linear scaling, as FastChat counts them
 * (fastchat/utils.py, `get_context_length`). Null if the config doesn't say.
 */
export function contextTokensOf(config: ModelConfig): number | null {
  const { maxPositionEmbeddings, maxSequenceLength, ropeScaling } = config;
  if (maxPositionEmbeddings === null) return maxSequenceLength;
  const factor = ropeScaling?.type === "linear" ? (ropeScaling.factor ?? 1) : 1;
  return Math.floor(maxPositionEmbeddings * factor);
}

function firstOf(value: number | readonly number[] | null | undefined): number | null {
  return (typeof value === "object" ? value?.[0] : value) ?? null;
}

/** The ids the tokenizer gives its special tokens; null if it doesn't say. A pad only if it names a token for it. */
export type SpecialIds = Readonly<Record<SpecialRole, number | null>>;

export interface ConfigFacts {
  /** Rows of the target's embedding; null if it has none. */
  readonly rows: number | null;
  /** As config.json spells it: `float16`, … */
  readonly torchDType: string;
  /** Null if there is no tokenizer. */
  readonly ids: SpecialIds | null;
  /** The target's. */
  readonly tensors?: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** The keys that the shapes of LLaMA's tensors decide; null where they are not LLaMA's. */
function sizesOf(tensors: NonNullable<ConfigFacts["tensors"]>, heads: number | null, headDim: number | null) {
  const shapeOf = (name: string) => tensors.find((tensor) => tensor.name === name)?.shape;
  const layer = (name: string) => shapeOf(`model.layers.0.${name}.weight`)?.[0];
  const [, hiddenSize] = embeddingOf(tensors)?.shape ?? [];
  const [queries, keys] = [layer("self_attn.q_proj"), layer("self_attn.k_proj")];
  const intermediateSize = layer("mlp.gate_proj");
  if (hiddenSize === undefined || intermediateSize === undefined) return null;
  if (queries === undefined || keys === undefined) return null;
  const rowsOfHead = headDim ?? queries / (heads ?? Number.NaN);
  const layers = new Set(tensors.map(({ name }) => layerOf(name)).filter((at) => at !== null));
  return {
    hidden_size: hiddenSize,
    intermediate_size: intermediateSize,
    num_hidden_layers: layers.size,
    // Only where heads of that size make up the queries.
    ...(Number.isInteger(rowsOfHead) && Number.isInteger(keys / rowsOfHead) && heads === queries / rowsOfHead
      ? { num_key_value_heads: keys / rowsOfHead }
      : {}),
  };
}

/** Makes the file true to the tensors and the tokenizer, with a note for each change. Errors: `bad-json`. */
export function repairConfig(file: JsonFile, facts: ConfigFacts, notes: string[]): string {
  const { rows, torchDType } = facts;
  const draft = new JsonDraft(file, configFileSchema);
  const set = (key: string, value: string | number) => {
    draft.set([key], value);
    notes.push(`config.json: ${key} set to ${value} to match the tensors.`);
  };
  // transformers 5 writes `dtype`, earlier ones `torch_dtype`; whichever is there is kept true.
  const present = (["torch_dtype", "dtype"] as const).filter((key) => draft.value[key] != null);
  for (const key of present.length > 0 ? present : (["torch_dtype"] as const)) {
    if (draft.value[key] !== torchDType) set(key, torchDType);
  }
  if (rows !== null && draft.value.vocab_size !== rows) set("vocab_size", rows);
  const { num_attention_heads: heads, head_dim: headDim } = draft.value;
  const sizes = Object.entries(sizesOf(facts.tensors ?? [], heads, headDim) ?? {});
  for (const [key, size] of sizes as ["hidden_size", number][]) {
    if (draft.value[key] !== null && draft.value[key] !== size) set(key, size);
  }
  if (draft.value.quantization_config !== undefined) {
    draft.set(["quantization_config"], undefined);
    notes.push("config.json: quantization_config removed, as the tensors are not quantized.");
  }
  // The spelling before transformers 4.28 (FastChat #352, #577).
  for (const [at, name] of (draft.value.architectures ?? []).entries()) {
    if (!name.startsWith("LLaMA")) continue;
    const renamed = name.replace("LLaMA", "Llama");
    draft.set(["architectures", at], renamed);
    notes.push(`config.json: ${name} is ${renamed} since transformers 4.28.`);
  }
  repairIds(draft, CONFIG, facts, notes);
  return draft.text;
}

/** `auto_map` names Python code that loaders fetch and run where they are told to; a plain LLaMA needs none. */
export function repairAutoMap(path: string, text: string) {
  const draft = new JsonDraft({ path, text }, configFileSchema);
  const { auto_map, architectures } = draft.value;
  if (auto_map == null) return { text, code: null };
  const names = Object.values(Object(auto_map)).join(", ");
  const isRemoved = architectures?.length === 1 && architectures[0] === "LlamaForCausalLM";
  if (!isRemoved) {
    const remark = `config.json: auto_map names code (${names}) that loaders may fetch from the Hub and run; check it first.`;
    return { text, code: { isRemoved, remark } };
  }
  draft.set(["auto_map"], undefined);
  const remark = `config.json: auto_map (${names}) removed: loaders know a LLaMA without code of its own.`;
  return { text: draft.text, code: { isRemoved, remark } };
}

type IdFacts = Pick<ConfigFacts, "rows" | "ids">;

/** As `repairConfig`. */
export function repairGenerationConfig(file: JsonFile, facts: IdFacts, notes: string[]): string {
  const draft = new JsonDraft(file, generationConfigSchema);
  repairIds(draft, GENERATION_CONFIG, facts, notes);
  return draft.text;
}

/**
 * Old conversions say bos 0, eos 1, pad -1. LLaMA's ids are 1, 2 and, since it has no pad, that of unk, 0, as in
 * Vicuna 13B v1.1. An id is wrong if it has no row or is that of another special token; any other may be meant (a chat
 * model's end of turn).
 */
function repairIds(
  draft: JsonDraft<z.infer<typeof generationConfigSchema>>,
  fileName: string,
  { rows, ids }: IdFacts,
  notes: string[],
): void {
  if (ids === null) return;
  const isRow = (id: number) => id >= 0 && (rows === null || id < rows);
  const isOther = (id: number) => isRow(id) && ![ids.bos, ids.eos, ids.unk].includes(id);
  const rules = [
    { key: "bos_token_id", right: ids.bos, mayBe: isOther },
    { key: "eos_token_id", right: ids.eos, mayBe: isOther },
    // Any token may pad, unless the tokenizer says which.
    { key: "pad_token_id", right: ids.pad ?? ids.unk, mayBe: ids.pad === null ? isRow : () => false },
  ] as const;
  for (const { key, right, mayBe } of rules) {
    const list = [draft.value[key] ?? []].flat();
    if (right === null || list.includes(right) || list.every(mayBe)) continue;
    draft.set([key], right);
    notes.push(`${fileName}: ${key} was ${list.join(", ")}, the tokenizer says ${right}.`);
  }
}
