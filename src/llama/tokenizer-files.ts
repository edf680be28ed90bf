/** What the files of a tokenizer hold, as far as this program looks at it. */
import { z } from "zod";
import { JsonDraft, type JsonFile, listOf, recordOf } from "../files/json-draft.js";
import { readSentencePiece, type SpecialPiece, type SpecialRole } from "./sentencepiece.js";

/** The largest vocabularies have some 260 000 tokens. Ids are counted through; stops one that would take years. */
export const MAX_TOKEN_ID = 1 << 22;

const tokenId = z.int().nonnegative().max(MAX_TOKEN_ID);

/** A token as transformers writes it: its text, or an AddedToken. */
const token = z.union([z.string(), z.looseObject({ content: z.string() })]);

export const specialTokensMapSchema = z.looseObject({
  bos_token: token.nullish(),
  eos_token: token.nullish(),
  unk_token: token.nullish(),
  sep_token: token.nullish(),
  pad_token: token.nullish(),
  cls_token: token.nullish(),
  mask_token: token.nullish(),
  additional_special_tokens: listOf(token).nullish(),
});

function isTokenId(key: string): boolean {
  return /^\d+$/.test(key) && tokenId.safeParse(Number(key)).success;
}

export const tokenizerConfigSchema = specialTokensMapSchema.extend({
  tokenizer_class: z.string().nullish(),
  added_tokens_decoder: recordOf(z.looseObject({ content: z.string() }))
    .nullish()
    .refine((decoder) => Object.keys(decoder ?? {}).every(isTokenId), { error: "a key is not a token's id" }),
});

export const tokenizerJsonSchema = z.looseObject({
  added_tokens: listOf(z.looseObject({ id: tokenId, content: z.string() })).nullish(),
  normalizer: z.unknown().optional(),
  model: z.looseObject({
    /** BPE and WordPiece map tokens to ids, Unigram lists [token, score]. */
    vocab: z.union([recordOf(tokenId), listOf(z.tuple([z.string(), z.number()]))]),
  }),
});

const addedTokensSchema = recordOf(tokenId);

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
  readonly ids: ReadonlyMap<string, number>;
  readonly special: Readonly<Record<SpecialRole, SpecialPiece | null>>;
}

/** Whether a tokenizer.model is a list of tiktoken's: a base64 and a rank a line. */
export function isTiktokenList(bytes: Uint8Array): boolean {
  const start = Buffer.from(bytes.subarray(0, 1000)).toString("latin1");
  return /^[A-Za-z0-9+/]+={0,2} \d+\r?\n/.test(start);
}

/** Null for a list of tiktoken's, whose tokens tokenizer.json has. Errors: `tokenizer-malformed`. */
export function vocabularyOfModel(bytes: Uint8Array, path: string): Vocabulary | null {
  if (isTiktokenList(bytes)) return null;
  const { ids, special } = readSentencePiece(bytes, path);
  return { from: "tokenizer.model", size: ids.size, ids, special };
}

/** Whether it was made from a LlamaTokenizer with `legacy`: later ones have the space in their pre_tokenizer. */
export function isLegacyJson({ normalizer }: TokenizerJson): boolean {
  return JSON.stringify(normalizer ?? null).includes('"type":"Prepend"');
}

/** LLaMA's special tokens (`special_tokens_map.json` that FastChat's FAQ asks for). */
export const LLAMA_TOKENS = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" } as const;

/** A tokenizer.json doesn't say which tokens are special: they are LLaMA's if it has all of those, else unknown. */
export function vocabularyOfJson({ model: { vocab } }: TokenizerJson): Vocabulary {
  const entries = Array.isArray(vocab)
    ? vocab.map(([token], id) => [token, id] as const)
    : Object.entries(vocab);
  const ids = new Map(entries);
  const isLlama = Object.values(LLAMA_TOKENS).every((name) => ids.has(name));
  const special = (name: string): SpecialPiece | null => (isLlama ? { id: ids.get(name) ?? 0, name } : null);
  return {
    from: "tokenizer.json",
    size: entries.reduce((size, [, id]) => Math.max(size, id + 1), 0),
    ids,
    special: { unk: special("<unk>"), bos: special("<s>"), eos: special("</s>"), pad: null },
  };
}
