/** A model's config.json. Only the fields this program uses are checked; nothing here decides whether a model loads. */
import { join } from "node:path";
import { z } from "zod";
import { listOf } from "../files/bounded-json.js";
import { JsonDraft, type JsonFile } from "../files/json-draft.js";
import { sourceExists } from "../files/local-file.js";
import { readAssetText } from "../files/small-file.js";
import type { ModelConfig } from "./documents.js";

/** A model has one; each that is misspelt is corrected by itself. */
const MAX_ARCHITECTURES = 16;

const text = z.string().nullable().default(null);
const number = z.number().nullable().default(null);
const extent = z.int().positive().nullable().default(null);
const tokenIds = z.union([z.int(), listOf(z.int())]).nullish();

/** Ids of special tokens, which generation_config.json has, too. */
export const tokenIdFields = { bos_token_id: tokenIds, eos_token_id: tokenIds, pad_token_id: tokenIds };

export const configFileSchema = z.looseObject({
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
  // transformers 4.43 renamed `type`; it writes both.
  rope_scaling: z.looseObject({ type: text, rope_type: text, factor: number }).nullable().default(null),
  rope_theta: number,
  tie_word_embeddings: z.boolean().nullish(),
  torch_dtype: text,
  dtype: text,
  _name_or_path: text,
});

/** Null if the folder has no config.json. Errors: `bad-json`, `lfs-pointer`, `source-unreadable`. */
export function readModelConfig(folder: string): ModelConfig | null {
  const path = join(folder, "config.json");
  return sourceExists(path) ? parseModelConfig(readAssetText(path)) : null;
}

/** Errors: `bad-json`. */
export function parseModelConfig(file: JsonFile): ModelConfig {
  const raw = new JsonDraft(file, configFileSchema).value;
  const rope = raw.rope_scaling;
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
    ropeScaling: rope && { type: rope.rope_type ?? rope.type, factor: rope.factor },
    ropeTheta: raw.rope_theta,
    tieWordEmbeddings: raw.tie_word_embeddings ?? false,
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
