/**
 * The vocabulary as llama.cpp has it: a text, a score and a type for every row of the embedding. Its pieces come from
 * tokenizer.model, or from a tokenizer.json that was made of one; then the files that name added tokens are heard, in the
 * order of llama.cpp's converter (`conversion/base.py`, `_create_vocab_sentencepiece`; `gguf-py/gguf/vocab.py`,
 * `LlamaHfVocab`).
 */
import * as z from "zod";
import { ApplyDeltaError } from "../../errors.js";
import type { SentencePieceModel } from "../sentencepiece.js";
import { contentOf, LLAMA_TOKENS, SPECIAL_TOKENS, type TokenFiles, tokensOf } from "../tokenizer-files.js";

/** By id. */
export interface TokenTable {
  readonly tokens: string[];
  readonly scores: number[];
  readonly types: number[];
}

/** llama.cpp's types of tokens; sentencepiece's pieces have the same numbers. */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** What the converter gives a token that no model scored, and a row without a token. */
const ADDED_SCORE = -1000;
const UNUSED_SCORE = -10_000;

export interface VocabularyFiles extends TokenFiles {
  readonly model: (SentencePieceModel & { readonly path: string }) | null;
}

/** `rows`: of the embedding; a row without a token gets a name of its own. Errors: `foreign-tokenizer`, `tokenizer-malformed`. */
export function tokenTable(files: VocabularyFiles, rows: number): TokenTable {
  const table: TokenTable = {
    tokens: new Array(rows),
    scores: new Array(rows).fill(UNUSED_SCORE),
    types: new Array(rows).fill(TOKEN_TYPE.unused),
  };
  const put: PutToken = (id, token, score, type) => {
    if (id >= rows) return;
    table.tokens[id] = token;
    table.scores[id] = score;
    table.types[id] = type;
  };
  if (files.model !== null) {
    putPieces(files.model, put);
    putAdded(files, put);
  } else putJsonTokens(files, put);
  for (let id = 0; id < rows; id++) table.tokens[id] ??= `[PAD${id}]`;
  refuseTwins(table.tokens, files);
  return table;
}

type PutToken = (id: number, token: string, score: number, type: number) => void;

function putPieces({ pieces, scores, types }: SentencePieceModel, put: PutToken): void {
  for (const [id, piece] of pieces.entries()) {
    // The converter asks only for the other types.
    const type = types[id] === TOKEN_TYPE.userDefined ? TOKEN_TYPE.normal : (types[id] as number);
    put(id, piece, scores[id] as number, type);
  }
}

/** Tokens that ought to be control tokens, and that some models call no special ones. */
const LOOKS_SPECIAL = /^(?:<pad>|<mask>|<2mass>|\[@BOS@\]|<\|.*\|>|<\uff5c.*\uff5c>|<unused.*>)$/s;

function putAdded({ added, config }: VocabularyFiles, put: PutToken): void {
  for (const [content, id] of Object.entries(added.value))
    put(id, content, ADDED_SCORE, TOKEN_TYPE.userDefined);
  for (const [id, { content, special }] of Object.entries(config?.value.added_tokens_decoder ?? {})) {
    if (special === true || LOOKS_SPECIAL.test(content))
      put(Number(id), content, ADDED_SCORE, TOKEN_TYPE.control);
    else put(Number(id), content.replaceAll("▁", " "), ADDED_SCORE, TOKEN_TYPE.userDefined);
  }
}

/** As tokenizers saves a LLaMA's, whatever else is in it. */
const llamaBpe = z.looseObject({
  model: z.looseObject({ type: z.literal("BPE"), byte_fallback: z.literal(true) }),
  decoder: z.looseObject({ type: z.literal("Sequence") }),
});

function putJsonTokens(files: VocabularyFiles, put: PutToken): void {
  const { tokenizerJson } = files;
  if (tokenizerJson === null) {
    const message = "GGUF needs tokenizer.model or a LLaMA's tokenizer.json.";
    throw new ApplyDeltaError("foreign-tokenizer", message, {
      hint: "Copy tokenizer.model from the base's release into the delta's folder.",
    });
  }
  const { model, decoder } = tokenizerJson.value as Record<string, Record<string, unknown> | undefined>;
  if (!llamaBpe.safeParse(tokenizerJson.value).success) {
    const message = "tokenizer.json is not a LLaMA's, so GGUF can't hold it.";
    throw new ApplyDeltaError("foreign-tokenizer", message, {
      file: tokenizerJson.path,
      expected: "BPE with byte fallback and a Sequence decoder",
      got: `${model?.type}, byte fallback ${model?.byte_fallback ?? false}, decoder ${decoder?.type ?? "none"}`,
      hint: "Copy tokenizer.model from the base's release, or convert a merged folder with llama.cpp.",
    });
  }
  const special = specialNames(files);
  const typeOf = (token: string) => (special.has(token) ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined);
  const added = tokenizerJson.value.added_tokens ?? [];
  for (const { id, content } of added) put(id, content, ADDED_SCORE, typeOf(content));
  for (const [token, id] of tokensOf(tokenizerJson.value)) {
    const isByte = /^<0x[0-9A-Fa-f]{2}>$/.test(token);
    const type = isByte ? TOKEN_TYPE.byte : special.has(token) ? TOKEN_TYPE.control : TOKEN_TYPE.normal;
    put(id, token, ADDED_SCORE, type);
  }
}

/** The special tokens that transformers knows of a tokenizer: a LlamaTokenizer has some that no file names. */
function specialNames({ config, map }: VocabularyFiles): ReadonlySet<string> {
  const { tokenizer_class: name, added_tokens_decoder: decoder } = config?.value ?? {};
  const ofClass = name == null || name.startsWith("LlamaTokenizer") ? LLAMA_TOKENS : {};
  // Where tokenizer_config.json has every added token, transformers doesn't read the map.
  const sources = [ofClass, config?.value ?? {}, ...(decoder == null ? [map?.value ?? {}] : [])];
  const named = Object.assign({}, ...sources.map(withoutNulls)) as NonNullable<typeof config>["value"];
  const tokens = [...SPECIAL_TOKENS.map((role) => named[role]), ...(named.additional_special_tokens ?? [])];
  return new Set(tokens.flatMap((token) => contentOf(token) ?? []));
}

function withoutNulls(source: object): object {
  return Object.fromEntries(Object.entries(source).filter(([, value]) => value != null));
}

/** llama.cpp ends itself where two ids have one text (`llama-vocab.cpp`: as many texts as ids). */
function refuseTwins(tokens: readonly string[], { model, tokenizerJson }: VocabularyFiles): void {
  if (new Set(tokens).size === tokens.length) return;
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    const first = ids.get(token);
    ids.set(token, id);
    if (first === undefined) continue;
    const message = "Two tokens have the same text, which llama.cpp can't load.";
    throw new ApplyDeltaError("foreign-tokenizer", message, {
      file: (model ?? tokenizerJson)?.path ?? "",
      got: `${JSON.stringify(token)} with the ids ${first} and ${id}`,
      hint: "Correct added_tokens.json or added_tokens_decoder in tokenizer_config.json.",
    });
  }
}
