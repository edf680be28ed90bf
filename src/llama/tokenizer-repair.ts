/**
 * Repairs a tokenizer for the target: every special token is the one the model was trained with, and every row has a
 * token and every token a row, or a warning says which haven't. Pure. A text that is right comes back unchanged,
 * character for character.
 */
import { JsonDraft, type JsonFile } from "../files/json-draft.js";
import { alignRows, type RowFacts } from "./added-tokens.js";
import type { SpecialIds } from "./config-repair.js";
import type { TokenizerText } from "./file-names.js";
import { chatTemplateOf, type PromptStyle } from "./prompt-templates.js";
import type { SpecialRole } from "./sentencepiece.js";
import {
  type ConfigFacts,
  type Remarks,
  repairTokenizerConfig,
  repairTokensMap,
  type SpecialNames,
} from "./special-tokens.js";
import {
  addedTokens,
  contentOf,
  LLAMA_TOKENS,
  openAddedTokens,
  type TokenFiles,
  tokenizerJsonSchema,
  type Vocabulary,
  vocabularyOfJson,
  vocabularyOfModel,
} from "./tokenizer-files.js";

export interface TokenizerFiles {
  readonly model: { readonly path: string; readonly bytes: Uint8Array } | null;
  readonly texts: Readonly<Partial<Record<TokenizerText, JsonFile>>>;
}

export interface TokenizerFacts extends RowFacts, ConfigFacts {
  readonly chatTemplate: PromptStyle | null;
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

/** Errors: `tokenizer-malformed`, `bad-json`. */
export function repairTokenizer({ model, texts }: TokenizerFiles, facts: TokenizerFacts): TokenizerRepair {
  const remarks: Remarks = { notes: [], warnings: [] };
  const found = texts["tokenizer.json"];
  const tokenizerJson = found === undefined ? null : new JsonDraft(found, tokenizerJsonSchema);
  const ofJson = tokenizerJson === null ? null : vocabularyOfJson(tokenizerJson.value);
  const vocabulary = model === null ? ofJson : vocabularyOfModel(model.bytes, model.path);
  const added = openAddedTokens(texts["added_tokens.json"]);
  const names = specialNames(vocabulary, facts);
  const config = repairTokenizerConfig(texts["tokenizer_config.json"], names, vocabulary, facts, remarks);
  const map = repairTokensMap(texts["special_tokens_map.json"], names, config, remarks);
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
  if (vocabulary === null && isLlama === true) return LLAMA_TOKENS;
  const nameOf = (role: SpecialRole) => vocabulary?.special[role]?.name ?? null;
  return { bos_token: nameOf("bos"), eos_token: nameOf("eos"), unk_token: nameOf("unk") };
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
    const id = name === null ? undefined : (vocabulary.ids.get(name) ?? added.get(name));
    return id ?? vocabulary.special[role]?.id ?? null;
  };
  return { bos: idOf("bos"), eos: idOf("eos"), unk: idOf("unk"), pad: idOf("pad") };
}
