import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { ErrorCode } from "../../src/errors.js";
import { CONFIG, type GoldenFiles, goldenAssets, metadataOf } from "../support/gguf-golden.js";
import { refusal } from "../support/refusal.js";

function config(changes: object): GoldenFiles {
  return { "config.json": { ...CONFIG, ...changes } };
}

/** A tokenizer.json without a tokenizer.model beside it. */
function json(changes: object): GoldenFiles {
  return { "tokenizer.model": null, "tokenizer.json": changes };
}

const bpe = { type: "BPE", byte_fallback: true, vocab: { "<unk>": 0, a: 1 }, merges: [] };

const REFUSALS: readonly (readonly [title: string, files: GoldenFiles, code: ErrorCode, text: RegExp])[] = [
  [
    "another architecture",
    config({ architectures: ["MistralForCausalLM"] }),
    "foreign-architecture",
    /MistralForCausalLM/,
  ],
  [
    "LLaVA",
    config({ architectures: ["LlavaLlamaForCausalLM"], model_type: "llava" }),
    "foreign-architecture",
    /Llava/,
  ],
  [
    "no architecture, another type",
    config({ architectures: null, model_type: "gpt2" }),
    "foreign-architecture",
    /no architecture/,
  ],
  ["no config.json", { "config.json": null }, "config-mismatch", /config\.json/],
  [
    "a config without its sizes",
    config({ num_attention_heads: null }),
    "config-mismatch",
    /num_attention_heads/,
  ],
  ["yarn", config({ rope_scaling: { type: "yarn", factor: 4 } }), "config-mismatch", /yarn/],
  [
    "linear scaling without a factor",
    config({ rope_scaling: { type: "linear" } }),
    "config-mismatch",
    /linear/,
  ],
  [
    "llama3 scaling",
    config({ rope_parameters: { rope_type: "llama3", factor: 8 } }),
    "config-mismatch",
    /llama3/,
  ],
  ["a context of 2^40", config({ max_position_embeddings: 2 ** 40 }), "config-mismatch", /context_length/],
  ["a base beyond float32", config({ rope_theta: 1e40 }), "config-mismatch", /freq_base/],
  ["half a top_k", { "generation_config.json": { top_k: 2.5 } }, "config-mismatch", /top_k/],
  ["no tokenizer", { "tokenizer.model": null }, "foreign-tokenizer", /tokenizer\.model/],
  ["a tokenizer of GPT-2's kind", json({ decoder: { type: "ByteLevel" } }), "foreign-tokenizer", /ByteLevel/],
  [
    "BPE without byte fallback",
    json({ model: { ...bpe, byte_fallback: false } }),
    "foreign-tokenizer",
    /false/,
  ],
  ["WordPiece", json({ model: { ...bpe, type: "WordPiece" } }), "foreign-tokenizer", /WordPiece/],
  ["no decoder", json({ decoder: null }), "foreign-tokenizer", /none/],
  ["two ids with one text", { "added_tokens.json": { "▁a": 310 } }, "foreign-tokenizer", /259 and 310/],
  [
    "a post-processor that is none",
    { "tokenizer.json": { post_processor: { single: 1 } } },
    "bad-json",
    /post_processor/,
  ],
  ["a damaged tokenizer.json", { "tokenizer.json": { model: null } }, "bad-json", /model/],
  ["a damaged generation_config.json", { "generation_config.json": "[" }, "bad-json", /generation_config/],
  ["a chat template in JSON that is none", { "chat_template.json": "1" }, "bad-json", /chat_template/],
];

for (const [title, files, code, text] of REFUSALS) {
  test(`refused: ${title}`, async () => {
    const error = await refusal(() => metadataOf(goldenAssets(files)), code);
    assert.match(error.format(), text);
  });
}

test("refused: tiktoken's list of tokens, and no tokenizer.json", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "tiktoken-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "tokenizer.model");
  writeFileSync(path, "IQ== 0\nIg== 1\n");
  await refusal(() => metadataOf(goldenAssets({ "tokenizer.model": path })), "foreign-tokenizer");
});
