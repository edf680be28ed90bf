/** A vocabulary proper, without the tokens added to it: how many tokens, their ids, and which are special. */
import { readSentencePiece, type SpecialPiece, type SpecialRole } from "./sentencepiece.js";
import type { TokenizerJson } from "./tokenizer-files.js";

export interface Vocabulary {
  readonly from: "tokenizer.model" | "tokenizer.json";
  /** Ids run from 0 to size - 1. */
  readonly size: number;
  idOf(token: string): number | null;
  readonly special: Readonly<Record<SpecialRole, SpecialPiece | null>>;
}

/** LLaMA's special tokens (`special_tokens_map.json` that FastChat's FAQ asks for). */
export const LLAMA_TOKENS = { bos: "<s>", eos: "</s>", unk: "<unk>" } as const;

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
    idOf: (token) => ids.get(token) ?? null,
    special: {
      unk: special(LLAMA_TOKENS.unk),
      bos: special(LLAMA_TOKENS.bos),
      eos: special(LLAMA_TOKENS.eos),
      pad: null,
    },
  };
}
