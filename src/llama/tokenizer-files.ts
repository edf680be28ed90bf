/** What the files of a tokenizer hold, as far as this program looks at it. */
import { z } from "zod";
import { listOf, recordOf } from "../files/bounded-json.js";
import { JsonDraft, type JsonFile } from "../files/json-draft.js";

/** The largest vocabularies have some 260 000 tokens. Ids are counted through; stops one that would take years. */
export const MAX_TOKEN_ID = 1 << 22;

const tokenId = z.number().int().nonnegative().max(MAX_TOKEN_ID);

/** A token as transformers writes it: its text, or an AddedToken. */
const token = z.union([z.string(), z.looseObject({ content: z.string() })]);

const specialTokens = {
  bos_token: token.nullish(),
  eos_token: token.nullish(),
  unk_token: token.nullish(),
  pad_token: token.nullish(),
  additional_special_tokens: listOf(token).nullish(),
};

function isTokenId(key: string): boolean {
  return /^\d+$/.test(key) && tokenId.safeParse(Number(key)).success;
}

export const specialTokensMapSchema = z.looseObject(specialTokens);

export const tokenizerConfigSchema = z.looseObject({
  ...specialTokens,
  tokenizer_class: z.string().nullish(),
  added_tokens_decoder: recordOf(z.looseObject({ content: z.string() }))
    .nullish()
    .refine((decoder) => Object.keys(decoder ?? {}).every(isTokenId), { error: "a key is not a token's id" }),
});

export const tokenizerJsonSchema = z.looseObject({
  added_tokens: listOf(z.looseObject({ id: tokenId, content: z.string() })).nullish(),
  model: z.looseObject({
    /** BPE and WordPiece map tokens to ids, Unigram lists [token, score]. */
    vocab: z.union([recordOf(tokenId), listOf(z.tuple([z.string(), z.number()]))]),
  }),
});

const addedTokensSchema = recordOf(tokenId);

export type SpecialTokensMap = z.infer<typeof specialTokensMapSchema>;
export type TokenizerConfig = z.infer<typeof tokenizerConfigSchema>;
export type TokenizerJson = z.infer<typeof tokenizerJsonSchema>;

/** Where a tokenizer's files name tokens; null for a file that doesn't exist. `added` is then empty. */
export interface TokenFiles {
  readonly config: JsonDraft<TokenizerConfig> | null;
  readonly map: JsonDraft<SpecialTokensMap> | null;
  readonly tokenizerJson: JsonDraft<TokenizerJson> | null;
  readonly added: JsonDraft<Record<string, number>>;
}

/** Errors: `bad-json`. */
export function openAddedTokens(file?: JsonFile | null): JsonDraft<Record<string, number>> {
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
