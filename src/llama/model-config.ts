/**
 * In: a model's folder. Out: the fields of its config.json that this program needs, or null where there is none.
 * Guards: a field that is there has the type it should have. Fields old conversions lack, or later versions of
 * transformers renamed, are null, and unknown ones are left alone: nothing here decides whether a model loads.
 * (Mending a config is config-repair.ts.)
 */

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { ApplyDeltaError, errnoOf, uninterrupted } from "../errors.js";
import { listOf, parseBoundedJson } from "../files/bounded-json.js";
import type { ModelConfig } from "./documents.js";

/** A config is a few kB; stops a file that would fill the memory. */
const MAX_CONFIG_BYTES = 4_000_000;

const extent = z.number().int().positive().nullish();
const tokenIds = z.union([z.number().int(), listOf(z.number().int())]).nullish();

const configSchema = z.looseObject({
  architectures: listOf(z.string()).nullish(),
  model_type: z.string().nullish(),
  hidden_size: extent,
  intermediate_size: extent,
  num_hidden_layers: extent,
  num_attention_heads: extent,
  num_key_value_heads: extent,
  head_dim: extent,
  vocab_size: z.number().int().nonnegative().nullish(),
  max_position_embeddings: extent,
  max_sequence_length: extent,
  rms_norm_eps: z.number().nullish(),
  rope_scaling: z
    .looseObject({
      type: z.string().nullish(),
      // transformers 4.43 renamed `type`; it writes both.
      rope_type: z.string().nullish(),
      factor: z.number().nullish(),
    })
    .nullish(),
  rope_theta: z.number().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  torch_dtype: z.string().nullish(),
  dtype: z.string().nullish(),
  bos_token_id: tokenIds,
  eos_token_id: tokenIds,
  pad_token_id: tokenIds,
  _name_or_path: z.string().nullish(),
});

/** Errors: `bad-json`, `source-unreadable`. */
export function readModelConfig(folder: string): ModelConfig | null {
  const path = join(folder, "config.json");
  const text = readText(path);
  return text === null ? null : parseModelConfig(text, path);
}

/** Parses the text of a config.json; `path` is for the error. Errors: `bad-json`. */
export function parseModelConfig(text: string, path: string): ModelConfig {
  const raw = parse(text, path);
  const rope = raw.rope_scaling ?? null;
  return {
    architectures: raw.architectures ?? [],
    modelType: raw.model_type ?? null,
    hiddenSize: raw.hidden_size ?? null,
    intermediateSize: raw.intermediate_size ?? null,
    layers: raw.num_hidden_layers ?? null,
    attentionHeads: raw.num_attention_heads ?? null,
    keyValueHeads: raw.num_key_value_heads ?? raw.num_attention_heads ?? null,
    headDim: raw.head_dim ?? null,
    vocabSize: raw.vocab_size ?? null,
    maxPositionEmbeddings: raw.max_position_embeddings ?? null,
    maxSequenceLength: raw.max_sequence_length ?? null,
    rmsNormEps: raw.rms_norm_eps ?? null,
    ropeScaling:
      rope === null ? null : { type: rope.rope_type ?? rope.type ?? null, factor: rope.factor ?? null },
    ropeTheta: raw.rope_theta ?? null,
    tieWordEmbeddings: raw.tie_word_embeddings ?? false,
    // transformers 5 writes `dtype`; some early files have `torch.float16`.
    torchDType: (raw.dtype ?? raw.torch_dtype)?.replace(/^torch\./, "") ?? null,
    bosTokenId: firstOf(raw.bos_token_id),
    eosTokenId: firstOf(raw.eos_token_id),
    padTokenId: firstOf(raw.pad_token_id),
    nameOrPath: raw._name_or_path ?? null,
  };
}

/**
 * Tokens the model was made for: positions times the factor of linear scaling, as FastChat counts them
 * (fastchat/utils.py, `get_context_length`). Null where the config doesn't say.
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

function parse(text: string, path: string): z.infer<typeof configSchema> {
  try {
    return configSchema.parse(parseBoundedJson(text));
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? cause.issues[0] : undefined;
    throw badJson(path, "config.json isn't a model's configuration.", {
      got: issue === undefined ? String(cause) : `${issue.path.join(".")}: ${issue.message}`,
      cause,
    });
  }
}

/** Null where there is no such file. */
function readText(path: string): string | null {
  try {
    const stat = uninterrupted(() => statSync(path));
    if (!stat.isFile()) throw badJson(path, "config.json is not a regular file.", { got: "another kind" });
    if (stat.size <= MAX_CONFIG_BYTES) return uninterrupted(() => readFileSync(path, "utf8"));
    throw badJson(path, "config.json is too large to be a model's configuration.", {
      expected: `at most ${MAX_CONFIG_BYTES} bytes`,
      got: `${stat.size} bytes`,
    });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return null;
    if (error instanceof ApplyDeltaError || errno === undefined) throw error;
    throw new ApplyDeltaError("source-unreadable", `config.json can't be read (${errno}).`, {
      file: path,
      hint: "Check its permissions with `ls -l`.",
      cause: error,
    });
  }
}

function badJson(
  path: string,
  message: string,
  details: { expected?: string; got: string; cause?: unknown },
): ApplyDeltaError {
  const hint = "Download config.json again from where the model came from.";
  return new ApplyDeltaError("bad-json", message, { file: path, ...details, hint });
}
