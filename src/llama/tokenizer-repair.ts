/**
 * Repairs a tokenizer for the target: every special token is the one the model was trained with, and every row has a
 * token and every token a row, or a warning says which haven't. Pure. A text that is right comes back unchanged,
 * character for character.
 */
import type { JsonFile } from "../files/json-draft.js";
import { compareNames } from "../tensor.js";
import { firstFew } from "../units.js";
import type { TokenizerText } from "./file-names.js";
import type { SpecialIds } from "./model-config.js";
import { chatTemplateOf, type PromptStyle } from "./prompt-templates.js";
import type { SpecialRole } from "./sentencepiece.js";
import {
  type ModelFacts,
  type Remarks,
  repairTokenizerConfig,
  repairTokensMap,
  type SpecialNames,
} from "./special-tokens.js";
import {
  addedTokens,
  contentOf,
  isLegacyJson,
  LLAMA_TOKENS,
  openAddedTokens,
  SPECIAL_TOKENS,
  type TokenFiles,
  type Vocabulary,
  vocabularyOfJson,
} from "./tokenizer-files.js";

export interface TokenizerFiles {
  /** As parsed, both: they may be large. */
  readonly tokenizerJson: TokenFiles["tokenizerJson"];
  /** `vocabulary`: null for a list of tiktoken's. */
  readonly model: { readonly path: string; readonly vocabulary: Vocabulary | null } | null;
  readonly texts: Readonly<Partial<Record<TokenizerText, JsonFile>>>;
}

export interface TokenizerFacts extends ModelFacts {
  /** Rows of the target's embedding; null if it has none. */
  readonly rows: number | null;
  /** How many of the delta's rows the target leaves out. */
  readonly trimmedRows: number;
  readonly chatTemplate: PromptStyle | null;
}

export interface TokenizerRepair extends Remarks {
  /** Every text the target must have. */
  readonly texts: Readonly<Partial<Record<TokenizerText, string>>>;
  /** Rows that no file names. */
  readonly unnamed: readonly number[];
  /** Null if there is none. */
  readonly vocabulary: Vocabulary | null;
  /** Null if there is no vocabulary to look them up in. */
  readonly ids: SpecialIds | null;
}

/** Errors: `bad-json`. */
export function repairTokenizer(files: TokenizerFiles, facts: TokenizerFacts): TokenizerRepair {
  const { model, texts } = files;
  const remarks: Remarks = { notes: [], warnings: [] };
  const { tokenizerJson } = files;
  const ofJson = tokenizerJson === null ? null : vocabularyOfJson(tokenizerJson.value);
  const vocabulary = model?.vocabulary ?? ofJson;
  if (model !== null && vocabulary === null) {
    remarks.warnings.push(
      `tokenizer.model is a list of tiktoken's, which few programs read: copy tokenizer.json from where the delta came from.`,
    );
  }
  const added = openAddedTokens(texts["added_tokens.json"]);
  const names = specialNames(vocabulary, facts);
  const kind = {
    ...facts,
    isFast: tokenizerJson !== null || (model !== null && vocabulary === null),
    isLegacy: tokenizerJson === null || isLegacyJson(tokenizerJson.value),
  };
  const config = repairTokenizerConfig(texts["tokenizer_config.json"], names, vocabulary, kind, remarks);
  const map = repairTokensMap(texts["special_tokens_map.json"], names, config, kind, remarks);
  const drafts: TokenFiles = { config, map, tokenizerJson, added };
  const unnamed = alignRows(drafts, vocabulary, facts, remarks);
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
    vocabulary,
    ids: vocabulary === null ? null : specialIds(drafts, vocabulary),
  };
}

function specialNames(vocabulary: Vocabulary | null, { isLlama }: TokenizerFacts): SpecialNames {
  if (vocabulary === null && isLlama === true) return LLAMA_TOKENS;
  const nameOf = (role: SpecialRole) => vocabulary?.special[role]?.name ?? null;
  return { bos_token: nameOf("bos"), eos_token: nameOf("eos"), unk_token: nameOf("unk") };
}

/**
 * Each row a token, each token a row; returns the rows without one. transformers reads `added_tokens_decoder` in
 * tokenizer_config.json and only without it added_tokens.json (`tokenization_utils_base.py`, `_from_pretrained`).
 * llama.cpp's converter reads added_tokens.json and refuses a vocabulary with fewer tokens than rows (FastChat #153,
 * #363, #484).
 */
function alignRows(
  files: TokenFiles,
  vocabulary: Vocabulary | null,
  { rows, trimmedRows }: TokenizerFacts,
  { notes, warnings }: Remarks,
): readonly number[] {
  if (rows === null) return [];
  if (vocabulary !== null) nameSpecialTokens(files, vocabulary, rows + trimmedRows, notes);
  const removed = removeTokensBeyond(files, rows);
  if (removed.length > 0) {
    const why = trimmedRows > 0 ? "as its row is trimmed" : `as the model has no more than ${rows} rows`;
    notes.push(`${removed.join(", ")} removed from the tokenizer, ${why}.`);
  }
  if (vocabulary === null) return [];
  nameRows(files, vocabulary, rows, notes);
  const names = addedTokens(files);
  const unnamed = range(vocabulary.size, rows).filter((id) => !names.has(id));
  if (unnamed.length > 0) {
    warnings.push(
      `the model has ${rows} rows, but the tokenizer has no token for ${formatIds(unnamed)}: copy added_tokens.json from where the delta came from, or llama.cpp will refuse the model.`,
    );
  }
  const beyond = range(rows, vocabulary.size);
  if (beyond.length > 0) {
    warnings.push(
      `the tokenizer has tokens beyond the model's ${rows} rows: ${formatIds(beyond)}. Does it belong to another version?`,
    );
  }
  return unnamed;
}

/** A tokenizer has eight roles and some tokens more; each of these is written by itself. */
const MAX_NAMED = 16;

/** Special tokens that no file gives an id get the first rows without a token, as transformers does when it loads them. */
function nameSpecialTokens(files: TokenFiles, vocabulary: Vocabulary, rows: number, notes: string[]): void {
  const { config, map, added } = files;
  const names = addedTokens(files);
  const contentsAdded = new Set(names.values());
  const isKnown = (content: string) => contentsAdded.has(content) || vocabulary.idOf(content) !== undefined;
  const single = SPECIAL_TOKENS.map((key) => map?.value[key] ?? config?.value[key]);
  const more = map?.value.additional_special_tokens ?? config?.value.additional_special_tokens ?? [];
  const contents = new Set([...single, ...more].map((token) => contentOf(token) ?? ""));
  const nameless = [...contents].filter((content) => content !== "" && !isKnown(content));
  const free = range(vocabulary.size, rows).filter((id) => !names.has(id));
  const named: [number, string][] = [];
  for (const [i, content] of nameless.slice(0, MAX_NAMED).entries()) {
    const id = free[i];
    if (id === undefined) break;
    if (vocabulary.from === "tokenizer.model") added.set([content], id);
    named.push([id, content]);
    notes.push(`row ${id} has no piece in ${vocabulary.from}: it is that of the special token ${content}.`);
  }
  nameInside(files, named);
}

/** The token of the one row that Vicuna v0's embeddings have above LLaMA's, as FastChat 0.1.10 wrote it. */
const PAD_TOKEN = "[PAD]";

/** Names every row if that takes no guess. */
function nameRows(files: TokenFiles, vocabulary: Vocabulary, rows: number, notes: string[]): void {
  const names = addedTokens(files);
  const first = vocabulary.size;
  const isTaken = vocabulary.idOf(PAD_TOKEN) !== undefined || [...names.values()].includes(PAD_TOKEN);
  if (rows === first + 1 && !names.has(first) && !isTaken) {
    names.set(first, PAD_TOKEN);
    nameInside(files, [[first, PAD_TOKEN]]);
    notes.push(`row ${first} has no piece in ${vocabulary.from}: ${PAD_TOKEN} names it, as in Vicuna v0.`);
  }
  // A tokenizer.json names its added tokens itself.
  if (vocabulary.from === "tokenizer.json") return;
  const { added } = files;
  const missing = [...names]
    .filter(([id, content]) => id >= first && id < rows && added.value[content] !== id)
    .sort(([, a], [, b]) => compareNames(a, b));
  if (missing.length === 0) return;
  // All at once, here and below: every change parses the text again, and there may be as many as rows.
  const entries = missing.map(([id, content]) => [content, id] as const);
  added.set([], Object.fromEntries([...Object.entries(added.value), ...entries]));
  const list = missing.map(([id, content]) => `${content} ${id}`).join(", ");
  notes.push(`added_tokens.json: ${list} added; llama.cpp looks for it there.`);
}

/** Names tokens in the files that hide added_tokens.json from transformers. */
function nameInside(
  { config, tokenizerJson }: TokenFiles,
  tokens: readonly (readonly [number, string])[],
): void {
  if (tokens.length === 0) return;
  const flags = { lstrip: false, normalized: false, rstrip: false, single_word: false, special: true };
  for (const [id, content] of tokens) {
    if (config?.value.added_tokens_decoder != null)
      config.set(["added_tokens_decoder", `${id}`], { content, ...flags });
  }
  const entries = tokens.map(([id, content]) => ({ id, content, ...flags }));
  if (tokenizerJson?.value.added_tokens == null) tokenizerJson?.set(["added_tokens"], entries);
  else tokenizerJson.append(["added_tokens"], entries);
}

/** Removes every token without a row from all files, and returns them: `[PAD] 32000`. */
function removeTokensBeyond(files: TokenFiles, rows: number): string[] {
  const { config, map, tokenizerJson, added } = files;
  const beyond = [...addedTokens(files)].filter(([id]) => id >= rows);
  // Of two names for one id, `beyond` has the last.
  const addedBeyond = Object.entries(added.value).filter(([, id]) => id >= rows);
  const removed = new Set([
    ...beyond.map(([, content]) => content),
    ...addedBeyond.map(([content]) => content),
  ]);
  const isRemoved = (token: Parameters<typeof contentOf>[0]) => removed.has(contentOf(token) ?? "");
  removeFrom(added, [], added.value, (id) => id >= rows);
  const decoder = config?.value.added_tokens_decoder;
  removeFrom(config, ["added_tokens_decoder"], decoder, (_, id) => Number(id) >= rows);
  removeFrom(tokenizerJson, ["added_tokens"], tokenizerJson?.value.added_tokens, ({ id }) => id >= rows);
  for (const draft of [config, map]) {
    for (const key of SPECIAL_TOKENS) {
      if (isRemoved(draft?.value[key])) draft?.set([key], undefined);
    }
    const key = "additional_special_tokens";
    removeFrom(draft, [key], draft?.value[key], isRemoved);
  }
  return beyond.sort(([a], [b]) => a - b).map(([id, content]) => `${content} ${id}`);
}

/** Writes the whole list or record: there may be thousands to remove. */
function removeFrom<T>(
  draft: { set(at: string[], value: unknown): void } | null,
  at: string[],
  all: readonly T[] | Readonly<Record<string, T>> | null | undefined,
  isGone: (item: T, key: string) => boolean,
): void {
  const entries = Object.entries<T>(all ?? {});
  const kept = entries.filter(([key, item]) => !isGone(item, key));
  if (kept.length === entries.length) return;
  draft?.set(at, Array.isArray(all) ? kept.map(([, item]) => item) : Object.fromEntries(kept));
}

/** The whole numbers from `start` up to `end`, which is not among them. */
function range(start: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
}

/** A longer list of runs helps nobody. */
const MAX_RUNS = 20;

/** `32001`, `32001 to 32003`, `5, 7 to 9`. */
export function formatIds(ids: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const id of ids) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === id - 1) run[1] = id;
    else runs.push([id, id]);
  }
  return firstFew(
    runs.map(([first, last]) => (first === last ? `${first}` : `${first} to ${last}`)),
    MAX_RUNS,
  );
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
    const id = name === null ? undefined : (vocabulary.idOf(name) ?? added.get(name));
    return id ?? vocabulary.special[role]?.id ?? null;
  };
  return { bos: idOf("bos"), eos: idOf("eos"), unk: idOf("unk"), pad: idOf("pad") };
}
