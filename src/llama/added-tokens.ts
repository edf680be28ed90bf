/**
 * The tokens above the vocabulary proper, and the embedding's rows: each row a token, each token a row.
 * transformers reads `added_tokens_decoder` in tokenizer_config.json and only without it added_tokens.json
 * (`tokenization_utils_base.py`, `_from_pretrained`). llama.cpp's converter reads added_tokens.json and refuses a
 * vocabulary with fewer tokens than rows (FastChat #153, #363, #484).
 */
import { compareNames } from "../tensor.js";
import { addedTokens, contentOf, type TokenFiles } from "./tokenizer-files.js";
import type { Vocabulary } from "./vocabulary.js";

/** The token of the one row that Vicuna v0's embeddings have above LLaMA's, as FastChat 0.1.10 wrote it. */
const PAD_TOKEN = "[PAD]";

/** Names every row, if that takes no guess, with a note for each change. Returns the rows left without a name. */
export function completeAddedTokens(
  files: TokenFiles,
  vocabulary: Vocabulary,
  rows: number,
  notes: string[],
): readonly number[] {
  const names = addedTokens(files);
  const first = vocabulary.size;
  const isTaken = vocabulary.idOf(PAD_TOKEN) !== null || [...names.values()].includes(PAD_TOKEN);
  if (rows === first + 1 && !names.has(first) && !isTaken) {
    names.set(first, PAD_TOKEN);
    nameInside(files, first, PAD_TOKEN);
    notes.push(`row ${first} has no piece in ${vocabulary.from}: ${PAD_TOKEN} names it, as in Vicuna v0.`);
  }
  // A tokenizer.json names its added tokens itself.
  if (vocabulary.from === "tokenizer.model") {
    const missing = [...names]
      .filter(([id, content]) => id >= first && id < rows && files.added.value[content] !== id)
      .sort(([, a], [, b]) => compareNames(a, b));
    if (missing.length > 0) {
      // All at once, here and below: every change parses the text again, and there may be as many as rows.
      const entries = missing.map(([id, content]) => [content, id] as const);
      files.added.set([], Object.fromEntries([...Object.entries(files.added.value), ...entries]));
      const list = missing.map(([id, content]) => `${content} ${id}`).join(", ");
      notes.push(`added_tokens.json: ${list} added; llama.cpp looks for it there.`);
    }
  }
  return range(first, rows).filter((id) => !names.has(id));
}

/** The whole numbers from `start` up to `end`, which is not among them. */
export function range(start: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);
}

/** Names a token in the files that hide added_tokens.json from transformers. */
function nameInside({ config, tokenizerJson }: TokenFiles, id: number, content: string): void {
  const flags = { lstrip: false, normalized: false, rstrip: false, single_word: false, special: true };
  if (config?.value.added_tokens_decoder != null) {
    config.set(["added_tokens_decoder", `${id}`], { content, ...flags });
  }
  const entry = { id, content, ...flags };
  const list = tokenizerJson?.value.added_tokens;
  if (list == null) tokenizerJson?.set(["added_tokens"], [entry]);
  else tokenizerJson?.set(["added_tokens", list.length], entry);
}

/** Removes every token without a row from all files, and returns them: `[PAD] 32000`. */
export function removeTokensBeyond(files: TokenFiles, rows: number): string[] {
  const { config, map, tokenizerJson, added } = files;
  const beyond = new Map([...addedTokens(files)].filter(([id]) => id >= rows));
  const addedBeyond = Object.entries(added.value).filter(([, id]) => id >= rows);
  const removed = new Set([...beyond.values(), ...addedBeyond.map(([content]) => content)]);
  const isRemoved = (token: Parameters<typeof contentOf>[0]) => removed.has(contentOf(token) ?? "");
  removeFromRecord(added, [], added.value, (_, id) => id >= rows);
  const decoder = config?.value.added_tokens_decoder;
  removeFromRecord(config, ["added_tokens_decoder"], decoder, (id) => Number(id) >= rows);
  removeFromList(tokenizerJson, ["added_tokens"], tokenizerJson?.value.added_tokens, ({ id }) => id >= rows);
  for (const draft of [config, map]) {
    for (const key of ["bos_token", "eos_token", "unk_token", "pad_token"] as const) {
      if (isRemoved(draft?.value[key])) draft?.set([key], undefined);
    }
    const key = "additional_special_tokens";
    removeFromList(draft, [key], draft?.value[key], isRemoved);
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

/** Writes the whole list: jsonc-parser 3.3.1 leaves `[12]` of `[1, 2]` when the 2 is removed. */
function removeFromList<T>(
  draft: { set(at: string[], value: T[]): void } | null,
  at: string[],
  list: readonly T[] | null | undefined,
  isGone: (item: T) => boolean,
): void {
  const kept = (list ?? []).filter((item) => !isGone(item));
  if (kept.length < (list ?? []).length) draft?.set(at, kept);
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
  const shown = runs
    .slice(0, MAX_RUNS)
    .map(([first, last]) => (first === last ? `${first}` : `${first} to ${last}`));
  return [...shown, ...(runs.length > MAX_RUNS ? ["…"] : [])].join(", ");
}
