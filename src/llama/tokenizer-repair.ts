/**
 * In: a tokenizer's files as they were found, and what the model is. Out: their texts as they must be for the
 * target, each change with a line that says what and why, and what only the user can mend as a warning.
 * Guards: every special token is the one the model was trained with; every row has a token and every token a
 * row, or it is said which haven't. Pure; what is right already comes back unchanged, character for character.
 */

import { formatJson, JsonDraft, type JsonFile } from "../files/json-draft.js";
import {
  addedTokens,
  addedTokensSchema,
  completeAddedTokens,
  formatIds,
  removeTokensBeyond,
  type TokenFiles,
} from "./added-tokens.js";
import type { SpecialIds } from "./config-repair.js";
import { chatTemplateOf, type PromptStyle } from "./prompt-templates.js";
import {
  contentOf,
  isEmptyMap,
  isWrongMap,
  llamaTokenizerConfigText,
  mendBlankTokens,
  type SpecialNames,
  specialTokensMapSchema,
  specialTokensMapText,
  tokenizerConfigSchema,
} from "./special-tokens.js";
import {
  LLAMA_TOKENS,
  tokenizerJsonSchema,
  type Vocabulary,
  vocabularyOfJson,
  vocabularyOfModel,
} from "./vocabulary.js";

export const TOKENIZER_TEXTS = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
] as const;

export type TokenizerText = (typeof TOKENIZER_TEXTS)[number];

export interface TokenizerFiles {
  readonly model: { readonly path: string; readonly bytes: Uint8Array } | null;
  readonly texts: Readonly<Partial<Record<TokenizerText, JsonFile>>>;
}

export interface TokenizerFacts {
  /** Rows of the target's embedding; null where it has none. */
  readonly rows: number | null;
  /** How many rows of the delta were left out of the target. */
  readonly trimmedRows: number;
  /** Whether the model is a LLaMA; null where no config tells. */
  readonly isLlama: boolean | null;
  /** `max_position_embeddings`; null where no config tells. */
  readonly maxPositions: number | null;
  readonly chatTemplate: PromptStyle | null;
}

export interface TokenizerRepair {
  /** Every text the target must have. */
  readonly texts: Readonly<Partial<Record<TokenizerText, string>>>;
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
  /** Rows no file names. */
  readonly unnamed: readonly number[];
  /** Of the vocabulary proper; null where there is none. */
  readonly vocabularySize: number | null;
  /** Null where there is no vocabulary to look them up. */
  readonly ids: SpecialIds | null;
}

/** LLaMA 1's, for which the deltas were made. */
const DEFAULT_MAX_POSITIONS = 2048;

/** Errors: `tokenizer-malformed`, `bad-json`. */
export function repairTokenizer({ model, texts }: TokenizerFiles, facts: TokenizerFacts): TokenizerRepair {
  const notes: string[] = [];
  const warnings: string[] = [];
  const found = texts["tokenizer.json"];
  const tokenizerJson = found === undefined ? null : new JsonDraft(found, tokenizerJsonSchema);
  const vocabulary =
    model !== null
      ? vocabularyOfModel(model.bytes, model.path)
      : tokenizerJson !== null
        ? vocabularyOfJson(tokenizerJson.value)
        : null;
  const added = new JsonDraft(
    texts["added_tokens.json"] ?? { path: "added_tokens.json", text: "{}\n" },
    addedTokensSchema,
  );
  const names = specialNames(vocabulary, facts);
  const config = repairConfig(texts["tokenizer_config.json"], names, vocabulary, facts, notes, warnings);
  const map = repairMap(texts["special_tokens_map.json"], names, config, notes, warnings);
  const files: TokenFiles = { config, map, tokenizerJson, added };
  const unnamed = alignRows(files, vocabulary, facts, notes, warnings);
  if (facts.chatTemplate !== null) writeChatTemplate(config, facts.chatTemplate, notes, warnings);
  const keepsAdded = Object.keys(added.value).length > 0 || added.text === texts["added_tokens.json"]?.text;
  return {
    texts: {
      ...(tokenizerJson === null ? {} : { "tokenizer.json": tokenizerJson.text }),
      ...(config === null ? {} : { "tokenizer_config.json": config.text }),
      ...(map === null ? {} : { "special_tokens_map.json": map.text }),
      ...(keepsAdded ? { "added_tokens.json": added.text } : {}),
    },
    notes,
    warnings,
    unnamed,
    vocabularySize: vocabulary?.size ?? null,
    ids: vocabulary === null ? null : specialIds(files, vocabulary),
  };
}

function specialNames(vocabulary: Vocabulary | null, { isLlama }: TokenizerFacts): SpecialNames {
  if (vocabulary === null) return isLlama === true ? LLAMA_TOKENS : { bos: null, eos: null, unk: null };
  const { bos, eos, unk } = vocabulary.special;
  return { bos: bos?.name ?? null, eos: eos?.name ?? null, unk: unk?.name ?? null };
}

function repairConfig(
  file: JsonFile | undefined,
  names: SpecialNames,
  vocabulary: Vocabulary | null,
  { isLlama, maxPositions }: TokenizerFacts,
  notes: string[],
  warnings: string[],
): TokenFiles["config"] {
  const fileName = "tokenizer_config.json";
  if (file === undefined) {
    const positions = maxPositions ?? DEFAULT_MAX_POSITIONS;
    // Without pieces this is for the tokenizer.model that is yet to be added.
    const isPieces = vocabulary?.from !== "tokenizer.json" && isLlama !== false && names.eos !== null;
    if (!isPieces && vocabulary?.from !== "tokenizer.json") {
      if (vocabulary !== null)
        warnings.push(`the target has no ${fileName}, and its class isn't known: add one.`);
      return null;
    }
    const text = isPieces ? llamaTokenizerConfigText(names, positions) : fastConfigText(names, positions);
    notes.push(
      `${fileName} was missing: written anew, ${isPieces ? "as Vicuna v1.1 has it" : "to read tokenizer.json"}.`,
    );
    return new JsonDraft({ path: fileName, text }, tokenizerConfigSchema);
  }
  const draft = new JsonDraft(file, tokenizerConfigSchema);
  const { tokenizer_class: name } = draft.value;
  if (name?.startsWith("LLaMATokenizer")) {
    const right = name.replace("LLaMA", "Llama");
    draft.set(["tokenizer_class"], right);
    notes.push(`${fileName}: ${name} is ${right} since transformers 4.28.`);
  }
  reportBlank(fileName, mendBlankTokens(draft, names), notes, warnings);
  return draft;
}

/** For a tokenizer.json of any kind: it holds all there is to know but the special tokens' roles. */
function fastConfigText({ bos, eos, unk }: SpecialNames, maxPositions: number): string {
  return formatJson({
    bos_token: bos,
    clean_up_tokenization_spaces: false,
    eos_token: eos,
    model_max_length: maxPositions,
    tokenizer_class: "PreTrainedTokenizerFast",
    unk_token: unk,
  });
}

function repairMap(
  file: JsonFile | undefined,
  names: SpecialNames,
  config: TokenFiles["config"],
  notes: string[],
  warnings: string[],
): TokenFiles["map"] {
  const fileName = "special_tokens_map.json";
  const known: SpecialNames = {
    bos: contentOf(config?.value.bos_token) || names.bos,
    eos: contentOf(config?.value.eos_token) || names.eos,
    unk: contentOf(config?.value.unk_token) || names.unk,
  };
  const draft = file === undefined ? null : new JsonDraft(file, specialTokensMapSchema);
  const fault =
    draft === null
      ? "was missing"
      : isEmptyMap(draft.value)
        ? "was empty"
        : isWrongMap(draft.value) && names.bos !== null && names.bos !== "</s>"
          ? "was the wrong one of the first days, with </s> for everything"
          : null;
  if (draft !== null && fault === null) {
    reportBlank(fileName, mendBlankTokens(draft, names), notes, warnings);
    return draft;
  }
  if (known.eos === null) {
    if (draft === null && config !== null) {
      warnings.push(`the target has no ${fileName}, and its tokens aren't known: generation may not stop.`);
    }
    return draft;
  }
  notes.push(
    `${fileName} ${fault}: written as FastChat's FAQ asks, so that generation stops at ${known.eos}.`,
  );
  // Other keys of an empty map stay.
  const text = specialTokensMapText(known);
  if (draft === null || fault !== "was empty" || Object.keys(draft.value).length === 0) {
    return new JsonDraft({ path: file?.path ?? fileName, text }, specialTokensMapSchema);
  }
  for (const [key, value] of Object.entries(JSON.parse(text))) draft.set([key], value);
  return draft;
}

function reportBlank(
  fileName: string,
  { mended, unknown }: ReturnType<typeof mendBlankTokens>,
  notes: string[],
  warnings: string[],
): void {
  if (mended.length > 0) {
    notes.push(
      `${fileName}: blank or wrong in old conversions, now ${mended.join(", ")}; else generation never stops.`,
    );
  }
  if (unknown.length > 0)
    warnings.push(`${fileName}: ${unknown.join(" and ")} blank, and nothing says the right one.`);
}

/** Tokens to rows and rows to tokens. Returns the rows without a token. */
function alignRows(
  files: TokenFiles,
  vocabulary: Vocabulary | null,
  { rows, trimmedRows }: TokenizerFacts,
  notes: string[],
  warnings: string[],
): readonly number[] {
  if (rows === null) return [];
  if (trimmedRows > 0) {
    const removed = removeTokensBeyond(files, rows);
    if (removed.length > 0)
      notes.push(`${removed.join(", ")} taken out of the tokenizer: the row is trimmed.`);
  }
  if (vocabulary === null) return [];
  const completion = completeAddedTokens(files, vocabulary, rows);
  notes.push(...completion.notes);
  const { unnamed } = completion;
  if (unnamed.length > 0) {
    const ids = formatIds(unnamed);
    warnings.push(
      `the model has ${rows} rows, the tokenizer no token for ${ids}: copy added_tokens.json from where the delta came from, or llama.cpp will refuse the model.`,
    );
  }
  const pieces = Array.from({ length: Math.max(0, vocabulary.size - rows) }, (_, i) => rows + i);
  const added = [...addedTokens(files).keys()].filter((id) => id >= rows);
  const beyond = [...new Set([...pieces, ...added])].sort((a, b) => a - b);
  if (beyond.length > 0) {
    warnings.push(
      `the tokenizer has tokens that the model's ${rows} rows lack: ${formatIds(beyond)}. Is it another version's?`,
    );
  }
  return unnamed;
}

function writeChatTemplate(
  config: TokenFiles["config"],
  style: PromptStyle,
  notes: string[],
  warnings: string[],
): void {
  if (config === null) {
    warnings.push("the chat template can't be written: the target has no tokenizer_config.json.");
    return;
  }
  config.set(["chat_template"], chatTemplateOf(style));
  notes.push(`tokenizer_config.json: chat_template of Vicuna ${style} written.`);
  if (style === "v0") notes.push('Vicuna v0 has no end token: stop generation at "###".');
}

function specialIds(files: TokenFiles, vocabulary: Vocabulary): SpecialIds {
  const added = new Map([...addedTokens(files)].map(([id, content]) => [content, id]));
  const idOf = (key: "bos_token" | "eos_token" | "unk_token" | "pad_token"): number | null => {
    const name = contentOf(files.config?.value[key]) ?? contentOf(files.map?.value[key]);
    return name === null ? null : (vocabulary.idOf(name) ?? added.get(name) ?? null);
  };
  const { bos, eos, unk, pad } = vocabulary.special;
  return {
    bos: idOf("bos_token") ?? bos?.id ?? null,
    eos: idOf("eos_token") ?? eos?.id ?? null,
    unk: idOf("unk_token") ?? unk?.id ?? null,
    pad: idOf("pad_token") ?? pad?.id ?? null,
  };
}
