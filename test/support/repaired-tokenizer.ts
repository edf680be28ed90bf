/** Tokenizers in texts: repaired, for a model of ten rows unless told otherwise. */
import { JsonDraft } from "../../src/files/json-draft.js";
import type { TokenizerText } from "../../src/llama/file-names.js";
import { tokenizerJsonSchema, vocabularyOfModel } from "../../src/llama/tokenizer-files.js";
import {
  repairTokenizer,
  type TokenizerFacts,
  type TokenizerFiles,
  type TokenizerRepair,
} from "../../src/llama/tokenizer-repair.js";
import { llamaPieces, sentencePieceModel } from "./sentencepiece-samples.js";

/** A tokenizer.model of these bytes. */
export async function modelOf(bytes: Uint8Array): Promise<TokenizerFiles["model"]> {
  const path = "delta/tokenizer.model";
  return { path, vocabulary: await vocabularyOfModel(bytes, path) };
}

const MODEL = await modelOf(sentencePieceModel(llamaPieces(10)));
const FACTS: TokenizerFacts = {
  rows: 10,
  trimmedRows: 0,
  isLlama: true,
  maxPositions: 2048,
  chatTemplate: null,
};

type Texts = Readonly<Partial<Record<TokenizerText, string>>>;

export function repair(texts: Texts, facts: Partial<TokenizerFacts> = {}, model = MODEL): TokenizerRepair {
  const files = Object.entries(texts).map(([name, text]) => [name, { path: `delta/${name}`, text }] as const);
  return repairTokenizer(
    {
      model,
      texts: Object.fromEntries(files),
      tokenizerJson:
        texts["tokenizer.json"] === undefined
          ? null
          : new JsonDraft(
              { path: "delta/tokenizer.json", text: texts["tokenizer.json"] },
              tokenizerJsonSchema,
            ),
    },
    { ...FACTS, ...facts },
  );
}

export const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
export const token = (content: string) => ({
  content,
  lstrip: false,
  normalized: true,
  rstrip: false,
  single_word: false,
});

export const MAP = json({ bos_token: token("<s>"), eos_token: token("</s>"), unk_token: token("<unk>") });
export const CONFIG = json({
  add_bos_token: true,
  add_eos_token: false,
  bos_token: "<s>",
  eos_token: "</s>",
  legacy: true,
  model_max_length: 2048,
  tokenizer_class: "LlamaTokenizer",
  unk_token: "<unk>",
});
/** In which nothing is to be repaired. */
export const RIGHT: Texts = { "tokenizer_config.json": CONFIG, "special_tokens_map.json": MAP };
