/** What the files of a tokenizer hold, as far as this program looks at it. */
import * as z from "zod";
import { JsonDraft, type JsonFile, listOf, recordOf } from "../files/json-draft.js";
import { noPause, type Pause } from "../interrupt.js";
import {
  readSentencePiece,
  type SentencePieceModel,
  type SpecialPiece,
  type SpecialRole,
} from "./sentencepiece.js";

/** Of a vocabulary, and of an embedding's rows. The largest of any LLaMA or its kin, Gemma 3's, has 262,208. */
export const MOST_TOKENS = 300_000;

/** Of those added to it; Gemma 3's has 6,400. */
const MOST_ADDED_TOKENS = 1 << 15;

const tokenId = z.int().nonnegative().max(MOST_TOKENS);

/** A token as transformers writes it: its text, or an AddedToken. */
const token = z.union([z.string(), z.looseObject({ content: z.string() })]);

/** In the order in which transformers gives ids to them (`tokenization_utils_base.py`, SPECIAL_TOKENS_ATTRIBUTES). */
export const SPECIAL_TOKENS = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

const named = SPECIAL_TOKENS.map((key) => [key, token.nullish()] as const);

export const specialTokensMapSchema = z.looseObject({
  ...(Object.fromEntries(named) as Record<(typeof SPECIAL_TOKENS)[number], (typeof named)[number][1]>),
  additional_special_tokens: listOf(token).nullish(),
});

export const tokenizerConfigSchema = specialTokensMapSchema.extend({
  tokenizer_class: z.string().nullish(),
  added_tokens_decoder: recordOf(z.looseObject({ content: z.string() }), MOST_ADDED_TOKENS)
    .nullish()
    .refine(
      (decoder) => Object.keys(decoder ?? {}).every((key) => /^\d+$/.test(key) && isTokenId(Number(key))),
      { error: "a key is not a token's id" },
    ),
});

/** BPE and WordPiece map tokens to ids, Unigram lists [token, score]. */
type Vocab = Readonly<Record<string, number>> | readonly (readonly [string, number])[];

/** Looked at without zod, which would take a second for half a million. */
const vocabSchema = z.custom<Vocab>().superRefine((vocab, context) => {
  const issue = vocabIssue(vocab);
  if (issue !== null) context.addIssue({ code: "custom", ...issue });
});

function vocabIssue(vocab: unknown): { message: string; path: (string | number)[] } | null {
  if (typeof vocab !== "object" || vocab === null)
    return { message: "expected an object or a list", path: [] };
  const tokens = Array.isArray(vocab) ? vocab : Object.keys(vocab);
  if (tokens.length > MOST_TOKENS) return { message: `more than ${MOST_TOKENS} tokens`, path: [] };
  const isRight = Array.isArray(vocab)
    ? (pair: unknown) => Array.isArray(pair) && typeof pair[0] === "string" && typeof pair[1] === "number"
    : (token: string) => isTokenId((vocab as Record<string, unknown>)[token]);
  const wrong = tokens.findIndex((token) => !isRight(token));
  if (wrong < 0) return null;
  const [expected, at] = Array.isArray(vocab)
    ? ["a token and a score", wrong]
    : ["a token's id", tokens[wrong]];
  return { message: `expected ${expected}`, path: [at] };
}

function isTokenId(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MOST_TOKENS;
}

export const tokenizerJsonSchema = z.looseObject({
  added_tokens: listOf(z.looseObject({ id: tokenId, content: z.string() }), MOST_ADDED_TOKENS).nullish(),
  normalizer: z.unknown().optional(),
  model: z.looseObject({ vocab: vocabSchema }),
});

const addedTokensSchema = recordOf(tokenId, MOST_ADDED_TOKENS);

export type SpecialTokensMap = z.infer<typeof specialTokensMapSchema>;
export type TokenizerJson = z.infer<typeof tokenizerJsonSchema>;

/** Where a tokenizer's files name tokens; null for a file that doesn't exist. `added` is then empty. */
export interface TokenFiles {
  readonly config: JsonDraft<z.infer<typeof tokenizerConfigSchema>> | null;
  readonly map: JsonDraft<SpecialTokensMap> | null;
  readonly tokenizerJson: JsonDraft<TokenizerJson> | null;
  readonly added: JsonDraft<Record<string, number>>;
}

/** Errors: `bad-json`. */
export function openAddedTokens(file?: JsonFile): TokenFiles["added"] {
  return new JsonDraft(file ?? { path: "added_tokens.json", text: "{}\n" }, addedTokensSchema);
}

/** Every added token that some file names, by id. */
export function addedTokens({ config, tokenizerJson, added }: Omit<TokenFiles, "map">): Map<number, string> {
  const tokens = new Map(Object.entries(added.value).map(([content, id]) => [id, content]));
  for (const { id, content } of tokenizerJson?.value.added_tokens ?? []) tokens.set(id, content);
  const decoder = Object.entries(config?.value.added_tokens_decoder ?? {});
  for (const [id, { content }] of decoder) tokens.set(Number(id), content);
  return tokens;
}

/** The text of a token in either form; null if there is none. */
export function contentOf(value: z.infer<typeof token> | null | undefined): string | null {
  return (typeof value === "object" ? value?.content : value) ?? null;
}

/** A vocabulary proper, without the tokens added to it. */
export interface Vocabulary {
  readonly from: "tokenizer.model" | "tokenizer.json";
  /** Ids run from 0 to size - 1. */
  readonly size: number;
  idOf(token: string): number | undefined;
  readonly special: Readonly<Record<SpecialRole, SpecialPiece | null>>;
  /** What tokenizer.model holds; null for a tokenizer.json. */
  readonly model: SentencePieceModel | null;
}

/** Whether a tokenizer.model is a list of tiktoken's: a base64 and a rank a line. */
export function isTiktokenList(bytes: Uint8Array): boolean {
  const start = Buffer.from(bytes.subarray(0, 1000)).toString("latin1");
  return /^[A-Za-z0-9+/]+={0,2} \d+\r?\n/.test(start);
}

/** Null for a list of tiktoken's, whose tokens tokenizer.json has. Errors: `tokenizer-malformed`, `interrupted`. */
export async function vocabularyOfModel(
  bytes: Uint8Array,
  path: string,
  pause: Pause = noPause,
): Promise<Vocabulary | null> {
  if (isTiktokenList(bytes)) return null;
  const model = await readSentencePiece(bytes, path, pause);
  const { ids, special } = model;
  return { from: "tokenizer.model", size: ids.size, idOf: (token) => ids.get(token), special, model };
}

/** Whether it was made from a LlamaTokenizer with `legacy`: later ones have the space in their pre_tokenizer. */
export function isLegacyJson({ normalizer }: TokenizerJson): boolean {
  return JSON.stringify(normalizer ?? null).includes('"type":"Prepend"');
}

/** LLaMA's special tokens (`special_tokens_map.json` that FastChat's FAQ asks for). */
export const LLAMA_TOKENS = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" } as const;

/** A tokenizer.json doesn't say which tokens are special: they are LLaMA's if it has all of those, else unknown. */
export function vocabularyOfJson(json: TokenizerJson): Vocabulary {
  const { vocab } = json.model;
  const ofList = Array.isArray(vocab) ? new Map(tokensOf(json)) : null;
  const ofRecord = (token: string) =>
    Object.hasOwn(vocab, token) ? (vocab as Record<string, number>)[token] : undefined;
  const idOf = (token: string) => (ofList === null ? ofRecord(token) : ofList.get(token));
  const isLlama = Object.values(LLAMA_TOKENS).every((name) => idOf(name) !== undefined);
  const special = (name: string): SpecialPiece | null => (isLlama ? { id: idOf(name) ?? 0, name } : null);
  let size = 0;
  if (Array.isArray(vocab)) size = vocab.length;
  // Three times as fast as `Object.values` or the generator below: there may be hundreds of thousands.
  else for (const token of Object.keys(vocab)) size = Math.max(size, Number(idOf(token)) + 1);
  return {
    from: "tokenizer.json",
    size,
    idOf,
    special: { unk: special("<unk>"), bos: special("<s>"), eos: special("</s>"), pad: null },
    model: null,
  };
}

/** The tokens of a tokenizer.json with their ids, without those added to it. */
export function* tokensOf({ model: { vocab } }: TokenizerJson): Generator<[string, number]> {
  if (Array.isArray(vocab)) {
    for (const [id, [token]] of vocab.entries()) yield [token, id];
    return;
  }
  const ids = vocab as Readonly<Record<string, number>>;
  for (const token of Object.keys(ids)) yield [token, ids[token] as number];
}
