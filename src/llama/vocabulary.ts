/**
 * In: `tokenizer.model` or `tokenizer.json`. Out: the vocabulary proper, without the tokens added on top of it:
 * how many tokens, their ids, and which are special.
 */
import { z } from "zod";
import { listOf, recordOf } from "../files/bounded-json.js";
import { readSentencePiece, type SpecialPiece, type SpecialRole } from "./sentencepiece.js";

export interface Vocabulary {
  readonly from: "tokenizer.model" | "tokenizer.json";
  /** Ids run from 0 to size - 1. */
  readonly size: number;
  idOf(token: string): number | null;
  readonly special: Readonly<Record<SpecialRole, SpecialPiece | null>>;
}

/** LLaMA's special tokens (`special_tokens_map.json` that FastChat's FAQ asks for). */
export const LLAMA_TOKENS = { bos: "<s>", eos: "</s>", unk: "<unk>" } as const;

/** The largest vocabularies have some 260 000 tokens. Ids are counted through; stops one that would take years. */
export const MAX_TOKEN_ID = 1 << 22;

export const tokenId = z.number().int().nonnegative().max(MAX_TOKEN_ID);

/** The part of Hugging Face's `tokenizer.json` that is looked at. */
export const tokenizerJsonSchema = z.looseObject({
  added_tokens: listOf(z.looseObject({ id: tokenId, content: z.string() })).nullish(),
  model: z.looseObject({
    /** BPE and WordPiece map tokens to ids, Unigram lists [token, score]. */
    vocab: z.union([recordOf(tokenId), listOf(z.tuple([z.string(), z.number()]))]),
  }),
});

export type TokenizerJson = z.infer<typeof tokenizerJsonSchema>;

/** Errors: `tokenizer-malformed`. */
export function vocabularyOfModel(bytes: Uint8Array, path: string): Vocabulary {
  const { pieces, special } = readSentencePiece(bytes, path);
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  return {
    from: "tokenizer.model",
    size: pieces.length,
    idOf: (token) => ids.get(token) ?? null,
    special,
  };
}

/** The special tokens of a tokenizer.json are LLaMA's where it has all of them; other names it doesn't tell. */
export function vocabularyOfJson({ model: { vocab } }: TokenizerJson): Vocabulary {
  const entries = Array.isArray(vocab)
    ? vocab.map(([token], id) => [token, id] as const)
    : Object.entries(vocab);
  const ids = new Map(entries);
  const find = (name: string): SpecialPiece | null => {
    const id = ids.get(name);
    return id === undefined ? null : { id, name };
  };
  const [unk, bos, eos] = [find(LLAMA_TOKENS.unk), find(LLAMA_TOKENS.bos), find(LLAMA_TOKENS.eos)];
  const isLlama = unk !== null && bos !== null && eos !== null;
  return {
    from: "tokenizer.json",
    size: entries.reduce((size, [, id]) => Math.max(size, id + 1), 0),
    idOf: (token) => ids.get(token) ?? null,
    special: isLlama ? { unk, bos, eos, pad: null } : { unk: null, bos: null, eos: null, pad: null },
  };
}
