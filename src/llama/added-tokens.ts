/**
 * The tokens above the vocabulary proper, and the embedding's rows: each row a token, each token a row.
 * In: the files that name added tokens. Out: the same, complete, or cut to the rows there are.
 * transformers reads `added_tokens_decoder` in tokenizer_config.json and, only where there is none,
 * added_tokens.json (`tokenization_utils_base.py`, `_from_pretrained`); llama.cpp's converter reads
 * added_tokens.json and refuses a vocabulary with fewer tokens than rows (FastChat #153, #363, #484).
 */

import { recordOf } from "../files/bounded-json.js";
import type { JsonDraft } from "../files/json-draft.js";
import { compareNames } from "../tensor.js";
import { contentOf, type SpecialTokensMap, type TokenizerConfig } from "./special-tokens.js";
import { type TokenizerJson, tokenId, type Vocabulary } from "./vocabulary.js";

/** The token of the one row that Vicuna v0's embeddings have above LLaMA's, as FastChat 0.1.10 wrote it. */
const PAD_TOKEN = "[PAD]";

export const addedTokensSchema = recordOf(tokenId);

/** Where a tokenizer's files name tokens; null for a file that isn't there, `added` then is empty. */
export interface TokenFiles {
  readonly config: JsonDraft<TokenizerConfig> | null;
  readonly map: JsonDraft<SpecialTokensMap> | null;
  readonly tokenizerJson: JsonDraft<TokenizerJson> | null;
  readonly added: JsonDraft<Record<string, number>>;
}

/** Every added token that some file names, by id. */
export function addedTokens({ config, tokenizerJson, added }: TokenFiles): Map<number, string> {
  return new Map([
    ...Object.entries(added.value).map(([content, id]) => [id, content] as const),
    ...(tokenizerJson?.value.added_tokens ?? []).map(({ id, content }) => [id, content] as const),
    ...Object.entries(config?.value.added_tokens_decoder ?? {}).map(
      ([id, { content }]) => [Number(id), content] as const,
    ),
  ]);
}

/** Names every row, where that takes no guess. Returns notes, and the rows that are left without a name. */
export function completeAddedTokens(
  files: TokenFiles,
  vocabulary: Vocabulary,
  rows: number,
): { readonly notes: readonly string[]; readonly unnamed: readonly number[] } {
  const names = addedTokens(files);
  const extraRows = Array.from(
    { length: Math.max(0, rows - vocabulary.size) },
    (_, i) => vocabulary.size + i,
  );
  const notes: string[] = [];
  const [first] = extraRows;
  const isTaken = vocabulary.idOf(PAD_TOKEN) !== null || [...names.values()].includes(PAD_TOKEN);
  if (first !== undefined && extraRows.length === 1 && !names.has(first) && !isTaken) {
    names.set(first, PAD_TOKEN);
    nameInside(files, first, PAD_TOKEN);
    notes.push(`row ${first} has no piece in ${vocabulary.from}: ${PAD_TOKEN} names it, as in Vicuna v0.`);
  }
  // A tokenizer.json names its added tokens itself.
  if (vocabulary.from === "tokenizer.model") {
    const lacking = [...names]
      .filter(([id, content]) => id >= vocabulary.size && id < rows && files.added.value[content] !== id)
      .sort(([, a], [, b]) => compareNames(a, b));
    // All at once, here and below: every change reads the text anew, and there may be as many as rows.
    const complete = [...Object.entries(files.added.value), ...lacking.map(([id, content]) => [content, id])];
    if (lacking.length > 0) files.added.set([], Object.fromEntries(complete));
    const list = lacking.map(([id, content]) => `${content} ${id}`).join(", ");
    if (lacking.length > 0) notes.push(`added_tokens.json: ${list} added; llama.cpp looks for it there.`);
  }
  return { notes, unnamed: extraRows.filter((id) => !names.has(id)) };
}

/** Names a token in the files that hide added_tokens.json from transformers. */
function nameInside({ config, tokenizerJson }: TokenFiles, id: number, content: string): void {
  const flags = { lstrip: false, normalized: false, rstrip: false, single_word: false, special: true };
  if (config?.value.added_tokens_decoder != null) {
    config.set(["added_tokens_decoder", `${id}`], { content, ...flags });
  }
  if (tokenizerJson !== null) {
    const list = tokenizerJson.value.added_tokens;
    const entry = { id, content, ...flags };
    if (list == null) tokenizerJson.set(["added_tokens"], [entry]);
    else tokenizerJson.set(["added_tokens", list.length], entry);
  }
}

/** Takes every token without a row out of all files, and returns them: `[PAD] 32000`. */
export function removeTokensBeyond(files: TokenFiles, rows: number): string[] {
  const beyond = new Map([...addedTokens(files)].filter(([id]) => id >= rows));
  const gone = new Set([
    ...beyond.values(),
    ...Object.entries(files.added.value).flatMap(([content, id]) => (id >= rows ? [content] : [])),
  ]);
  const { config, map, tokenizerJson, added } = files;
  removeFromRecord(added, [], added.value, (_, id) => id >= rows);
  const decoder = config?.value.added_tokens_decoder;
  removeFromRecord(config, ["added_tokens_decoder"], decoder, (id) => Number(id) >= rows);
  removeFromList(tokenizerJson, ["added_tokens"], tokenizerJson?.value.added_tokens, ({ id }) => id >= rows);
  for (const draft of [config, map]) {
    for (const key of ["bos_token", "eos_token", "unk_token", "pad_token"] as const) {
      if (gone.has(contentOf(draft?.value[key]) ?? "")) draft?.set([key], undefined);
    }
    const key = "additional_special_tokens";
    removeFromList(draft, [key], draft?.value[key], (value) => gone.has(contentOf(value) ?? ""));
  }
  return [...beyond].sort(([a], [b]) => a - b).map(([id, content]) => `${content} ${id}`);
}

function removeFromRecord<T>(
  draft: { set(at: string[], value: Record<string, T>): void } | null,
  at: string[],
  record: Readonly<Record<string, T>> | null | undefined,
  isGone: (key: string, value: T) => boolean,
): void {
  const entries = Object.entries(record ?? {});
  const kept = entries.filter(([key, value]) => !isGone(key, value));
  if (kept.length < entries.length) draft?.set(at, Object.fromEntries(kept));
}

/** The list is written anew: jsonc-parser 3.3.1 leaves `[12]` of `[1, 2]` when the 2 is removed. */
function removeFromList<T>(
  draft: { set(at: string[], value: T[]): void } | null,
  at: string[],
  list: readonly T[] | null | undefined,
  isGone: (item: T) => boolean,
): void {
  const kept = (list ?? []).filter((item) => !isGone(item));
  if (kept.length < (list ?? []).length) draft?.set(at, kept);
}

/** More runs than this are no help to anyone. */
const MAX_RUNS = 20;

/** `32001`, `32001 to 32003`, `5, 7 to 9`. */
export function formatIds(ids: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const id of ids) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === id - 1) run[1] = id;
    else runs.push([id, id]);
  }
  const shown = runs
    .slice(0, MAX_RUNS)
    .map(([first, last]) => (first === last ? `${first}` : `${first} to ${last}`));
  return [...shown, ...(runs.length > MAX_RUNS ? ["…"] : [])].join(", ");
}
