/**
 * Repairs a tokenizer for the target: every special token is the one the model was trained with, and every row has a
 * token and every token a row, or a warning says which haven't. Pure. A text that is right comes back unchanged,
 * character for character.
 */
import { formatJson, JsonDraft, type JsonFile } from "../files/json-draft.js";
import { completeAddedTokens, formatIds, range, removeTokensBeyond } from "./added-tokens.js";
import type { SpecialIds } from "./config-repair.js";
import type { TokenizerText } from "./file-names.js";
import { chatTemplateOf, type PromptStyle } from "./prompt-templates.js";
import type { SpecialRole } from "./sentencepiece.js";
import {
  faqMap,
  fastTokenizerConfigText,
  fillBlankTokens,
  isEmptyMap,
  isWrongMap,
  llamaTokenizerConfigText,
  type SpecialNames,
} from "./special-tokens.js";
import {
  addedTokens,
  contentOf,
  openAddedTokens,
  specialTokensMapSchema,
  type TokenFiles,
  tokenizerConfigSchema,
  tokenizerJsonSchema,
} from "./tokenizer-files.js";
import { LLAMA_TOKENS, type Vocabulary, vocabularyOfJson, vocabularyOfModel } from "./vocabulary.js";

export interface TokenizerFiles {
  readonly model: { readonly path: string; readonly bytes: Uint8Array } | null;
  readonly texts: Readonly<Partial<Record<TokenizerText, JsonFile>>>;
}

export interface TokenizerFacts {
  /** Rows of the target's embedding; null if it has none. */
  readonly rows: number | null;
  /** How many rows of the delta are left out of the target. */
  readonly trimmedRows: number;
  /** Whether the model is a LLaMA; null if no config says. */
  readonly isLlama: boolean | null;
  /** `max_position_embeddings`; null if no config says. */
  readonly maxPositions: number | null;
  readonly chatTemplate: PromptStyle | null;
}

/** What the user is told: `notes` of what was changed, `warnings` of what only the user can repair. */
export interface Remarks {
  readonly notes: string[];
  readonly warnings: string[];
}

export interface TokenizerRepair extends Remarks {
  /** Every text the target must have. */
  readonly texts: Readonly<Partial<Record<TokenizerText, string>>>;
  /** Rows that no file names. */
  readonly unnamed: readonly number[];
  /** Of the vocabulary proper; null if there is none. */
  readonly vocabularySize: number | null;
  /** Null if there is no vocabulary to look them up in. */
  readonly ids: SpecialIds | null;
}

/** LLaMA 1's, for which the deltas were made. */
const DEFAULT_MAX_POSITIONS = 2048;

/** Errors: `tokenizer-malformed`, `bad-json`. */
export function repairTokenizer({ model, texts }: TokenizerFiles, facts: TokenizerFacts): TokenizerRepair {
  const remarks: Remarks = { notes: [], warnings: [] };
  const found = texts["tokenizer.json"];
  const tokenizerJson = found === undefined ? null : new JsonDraft(found, tokenizerJsonSchema);
  const ofJson = tokenizerJson === null ? null : vocabularyOfJson(tokenizerJson.value);
  const vocabulary = model === null ? ofJson : vocabularyOfModel(model.bytes, model.path);
  const added = openAddedTokens(texts["added_tokens.json"]);
  const names = specialNames(vocabulary, facts);
  const config = repairConfig(texts["tokenizer_config.json"], names, vocabulary, facts, remarks);
  const map = repairMap(texts["special_tokens_map.json"], names, config, remarks);
  const files: TokenFiles = { config, map, tokenizerJson, added };
  const unnamed = alignRows(files, vocabulary, facts, remarks);
  if (facts.chatTemplate !== null) writeChatTemplate(config, facts.chatTemplate, remarks);
  const keepsAdded = Object.keys(added.value).length > 0 || added.text === texts["added_tokens.json"]?.text;
  return {
    texts: {
      ...(tokenizerJson === null ? {} : { "tokenizer.json": tokenizerJson.text }),
      ...(config === null ? {} : { "tokenizer_config.json": config.text }),
      ...(map === null ? {} : { "special_tokens_map.json": map.text }),
      ...(keepsAdded ? { "added_tokens.json": added.text } : {}),
    },
    ...remarks,
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
  facts: TokenizerFacts,
  remarks: Remarks,
): TokenFiles["config"] {
  const fileName = "tokenizer_config.json";
  if (file === undefined) return makeConfig(fileName, names, vocabulary, facts, remarks);
  const draft = new JsonDraft(file, tokenizerConfigSchema);
  const { tokenizer_class: name } = draft.value;
  if (name?.startsWith("LLaMATokenizer")) {
    const renamed = name.replace("LLaMA", "Llama");
    draft.set(["tokenizer_class"], renamed);
    remarks.notes.push(`${fileName}: ${name} is ${renamed} since transformers 4.28.`);
  }
  fillBlanks(fileName, draft, names, remarks);
  return draft;
}

/** A missing tokenizer_config.json. Without a vocabulary it is for the tokenizer.model that the user adds. */
function makeConfig(
  fileName: string,
  names: SpecialNames,
  vocabulary: Vocabulary | null,
  { isLlama, maxPositions }: TokenizerFacts,
  { notes, warnings }: Remarks,
): TokenFiles["config"] {
  const positions = maxPositions ?? DEFAULT_MAX_POSITIONS;
  const make = (text: string, how: string) => {
    notes.push(`${fileName} was missing: written ${how}.`);
    return new JsonDraft({ path: fileName, text }, tokenizerConfigSchema);
  };
  if (vocabulary?.from === "tokenizer.json") {
    return make(fastTokenizerConfigText(names, positions), "to read tokenizer.json");
  }
  if (isLlama !== false && names.eos !== null) {
    return make(llamaTokenizerConfigText(names, positions), "as in Vicuna v1.1");
  }
  if (vocabulary !== null) {
    warnings.push(`the target has no ${fileName}, and its tokenizer's class is unknown: add the file.`);
  }
  return null;
}

function repairMap(
  file: JsonFile | undefined,
  names: SpecialNames,
  config: TokenFiles["config"],
  remarks: Remarks,
): TokenFiles["map"] {
  const fileName = "special_tokens_map.json";
  const known: SpecialNames = {
    bos: contentOf(config?.value.bos_token) || names.bos,
    eos: contentOf(config?.value.eos_token) || names.eos,
    unk: contentOf(config?.value.unk_token) || names.unk,
  };
  const draft = file === undefined ? null : new JsonDraft(file, specialTokensMapSchema);
  const fault = faultOf(draft, names);
  if (draft !== null && fault === null) {
    fillBlanks(fileName, draft, names, remarks);
    return draft;
  }
  if (known.eos === null) {
    if (draft === null && config !== null) {
      remarks.warnings.push(
        `the target has no ${fileName}, and its tokens are unknown: generation may not stop.`,
      );
    }
    return draft;
  }
  remarks.notes.push(
    `${fileName} ${fault}: written as FastChat's FAQ asks, so that generation stops at ${known.eos}.`,
  );
  const map = faqMap(known);
  if (draft === null || fault !== "was empty" || Object.keys(draft.value).length === 0) {
    return new JsonDraft({ path: file?.path ?? fileName, text: formatJson(map) }, specialTokensMapSchema);
  }
  // Other keys of an empty map stay.
  for (const [key, value] of Object.entries(map)) draft.set([key], value);
  return draft;
}

/** Why a map has to be written anew; null if it hasn't. */
function faultOf(map: TokenFiles["map"], { bos }: SpecialNames): string | null {
  if (map === null) return "was missing";
  if (isEmptyMap(map.value)) return "was empty";
  const isWrong = isWrongMap(map.value) && bos !== null && bos !== "</s>";
  return isWrong ? "was the wrong one of the first days, with </s> for everything" : null;
}

function fillBlanks(
  fileName: string,
  draft: Parameters<typeof fillBlankTokens>[0],
  names: SpecialNames,
  { notes, warnings }: Remarks,
): void {
  const { filled, unknown } = fillBlankTokens(draft, names);
  if (filled.length > 0) {
    notes.push(
      `${fileName}: blank or wrong in old conversions, now ${filled.join(", ")}; else generation never stops.`,
    );
  }
  if (unknown.length > 0) {
    warnings.push(`${fileName}: ${unknown.join(" and ")} blank, and the right value is unknown.`);
  }
}

/** Tokens to rows and rows to tokens. Returns the rows without a token. */
function alignRows(
  files: TokenFiles,
  vocabulary: Vocabulary | null,
  { rows, trimmedRows }: TokenizerFacts,
  { notes, warnings }: Remarks,
): readonly number[] {
  if (rows === null) return [];
  if (trimmedRows > 0) {
    const removed = removeTokensBeyond(files, rows);
    if (removed.length > 0) {
      notes.push(`${removed.join(", ")} removed from the tokenizer, as its row is trimmed.`);
    }
  }
  if (vocabulary === null) return [];
  const unnamed = completeAddedTokens(files, vocabulary, rows, notes);
  if (unnamed.length > 0) {
    warnings.push(
      `the model has ${rows} rows, but the tokenizer has no token for ${formatIds(unnamed)}: copy added_tokens.json from where the delta came from, or llama.cpp will refuse the model.`,
    );
  }
  const added = [...addedTokens(files).keys()].filter((id) => id >= rows);
  const beyond = [...new Set([...range(rows, vocabulary.size), ...added])].sort((a, b) => a - b);
  if (beyond.length > 0) {
    warnings.push(
      `the tokenizer has tokens beyond the model's ${rows} rows: ${formatIds(beyond)}. Does it belong to another version?`,
    );
  }
  return unnamed;
}

function writeChatTemplate(
  config: TokenFiles["config"],
  style: PromptStyle,
  { notes, warnings }: Remarks,
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
  const idOf = (role: SpecialRole): number | null => {
    const key = `${role}_token` as const;
    const name = contentOf(files.config?.value[key]) ?? contentOf(files.map?.value[key]);
    const id = name === null ? null : (vocabulary.idOf(name) ?? added.get(name));
    return id ?? vocabulary.special[role]?.id ?? null;
  };
  return { bos: idOf("bos"), eos: idOf("eos"), unk: idOf("unk"), pad: idOf("pad") };
}
