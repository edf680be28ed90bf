/**
 * What a GGUF says of its model: the keys that llama.cpp's `convert_hf_to_gguf.py` would write for the merged folder,
 * with its types and values.
 */
import { ApplyDeltaError } from "../../errors.js";
import { JsonDraft, type JsonFile } from "../../files/json-draft.js";
import { readAssetBytes } from "../../files/small-file.js";
import type { Pause } from "../../interrupt.js";
import { type Asset, readAsset, type VocabularyFile } from "../assets.js";
import { CONFIG, GENERATION_CONFIG, MODEL_CARD, TEMPLATE_FILES, TOKENIZER_MODEL } from "../file-names.js";
import { parseModelConfig } from "../model-config.js";
import {
  openAddedTokens,
  specialTokensMapSchema,
  tokenizerConfigSchema,
  tokenizerJsonSchema,
  vocabularyOfModel,
} from "../tokenizer-files.js";
import { chatTemplateValues } from "./chat-template.js";
import { generalValues } from "./general.js";
import { hyperparameters } from "./hyperparameters.js";
import { bool, ifSet, type KeyValue, string, strings, u32 } from "./key-values.js";
import { specialTokenValues } from "./special-tokens.js";
import { tokenTable, type VocabularyFiles } from "./vocabulary.js";

export interface GgufFacts {
  /** The files beside the weights, as a folder would have them. */
  readonly files: readonly Asset[];
  /** Those of them that are its tokenizer's. */
  readonly tokenizer: VocabularyFiles;
  /** The target's name, without `.gguf`. */
  readonly name: string;
  /** Elements of all tensors in the GGUF. */
  readonly parameters: number;
  /** llama.cpp's number for how the weights are stored: 0 for F32, 1 for F16, … */
  readonly fileType: number;
}

/** Of the layouts of quantized blocks (`GGML_QNT_VERSION`). */
const QUANTIZATION_VERSION = 2;

/**
 * Errors: `foreign-architecture`, `foreign-tokenizer`, `config-mismatch`, `bad-json`, `tokenizer-malformed`,
 * `source-unreadable`.
 */
export function ggufMetadata({ files, tokenizer, name, parameters, fileType }: GgufFacts): KeyValue[] {
  const read = (fileName: string) => readAsset(files, fileName);
  const configFile = read(CONFIG);
  if (configFile === null) {
    const message = "Neither delta nor base has a config.json, which GGUF needs.";
    throw new ApplyDeltaError("config-mismatch", message, {
      hint: "Copy config.json from where the delta was released into the delta's folder.",
    });
  }
  const config = parseModelConfig(configFile);
  const card = read(MODEL_CARD)?.text ?? null;
  const { nameOrPath } = config;
  const generationConfig = read(GENERATION_CONFIG);
  return [
    string("general.architecture", "llama"),
    string("general.type", "model"),
    ...generalValues({ name, parameters, nameOrPath, card, generationConfig }),
    ...hyperparameters(config, configFile.path, fileType),
    u32("general.quantization_version", QUANTIZATION_VERSION),
    ...tokenizerValues(files, tokenizer, configFile, config.vocabSize ?? 0),
  ];
}

/**
 * A tokenizer.json has no scores, and the converter invents none; llama.cpp then joins pieces from the left, where the
 * model's tokenizer joins by rank. Null where tokenizer.model has them.
 */
export function tokenizerWarning({ model }: VocabularyFiles): string | null {
  if (model !== null) return null;
  return "there is no tokenizer.model, and tokenizer.json has no scores: llama.cpp will cut some texts into other tokens than the model knows. Copy tokenizer.model from the base's release into the delta's folder.";
}

function tokenizerValues(
  files: readonly Asset[],
  tokenizer: VocabularyFiles,
  configFile: JsonFile,
  rows: number,
): KeyValue[] {
  const { tokens, scores, types } = tokenTable(tokenizer, rows);
  const config = tokenizer.config?.value ?? null;
  const prefix = config?.add_prefix_space;
  const [template = null] = TEMPLATE_FILES.flatMap((fileName) => readAsset(files, fileName) ?? []);
  return [
    ...ifSet(bool, "tokenizer.ggml.add_space_prefix", typeof prefix === "boolean" ? prefix : null),
    string("tokenizer.ggml.model", "llama"),
    string("tokenizer.ggml.pre", "default"),
    strings("tokenizer.ggml.tokens", tokens),
    { key: "tokenizer.ggml.scores", type: "array", items: "f32", value: scores },
    { key: "tokenizer.ggml.token_type", type: "array", items: "i32", value: types },
    ...specialTokenValues(tokenizer, configFile, rows),
    ...chatTemplateValues(config, template),
  ];
}

/**
 * `known`: a vocabulary of these files that was read already. Errors: `bad-json`, `tokenizer-malformed`,
 * `source-unreadable`, `interrupted`.
 */
export async function openTokenizer(
  files: readonly Asset[],
  pause: Pause,
  known: VocabularyFile | null = null,
): Promise<VocabularyFiles> {
  const open = <T>(fileName: string, make: (file: JsonFile) => T): T | null => {
    const file = readAsset(files, fileName);
    return file === null ? null : make(file);
  };
  return {
    model: known?.model ? { path: known.path, ...known.model } : await readModel(files, pause),
    tokenizerJson: await open("tokenizer.json", (file) =>
      JsonDraft.openLarge(file, tokenizerJsonSchema, pause),
    ),
    config: open("tokenizer_config.json", (file) => new JsonDraft(file, tokenizerConfigSchema)),
    map: open("special_tokens_map.json", (file) => new JsonDraft(file, specialTokensMapSchema)),
    added: openAddedTokens(readAsset(files, "added_tokens.json") ?? undefined),
  };
}

/** Null for a list of tiktoken's, too: its tokens are in tokenizer.json. */
async function readModel(files: readonly Asset[], pause: Pause): Promise<VocabularyFiles["model"]> {
  const asset = files.find(({ fileName }) => fileName === TOKENIZER_MODEL);
  if (asset === undefined || !("copyFrom" in asset)) return null;
  const path = asset.copyFrom;
  const model = (await vocabularyOfModel(readAssetBytes(path), path, pause))?.model;
  return model ? { path, ...model } : null;
}
