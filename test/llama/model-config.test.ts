/** config.json as old and new programs write it, and as nobody should. */
import assert from "node:assert/strict";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { contextTokensOf, parseModelConfig, readModelConfig } from "../../src/llama/model-config.js";
import { projectPath } from "../support/fixture-path.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const parse = (fields: object) => parseModelConfig({ path: "config.json", text: JSON.stringify(fields) });

test("the example's", () => {
  const config = readModelConfig(projectPath("examples/tiny/delta"));
  assert.deepEqual(config, {
    architectures: ["LlamaForCausalLM"],
    modelType: "llama",
    hiddenSize: 64,
    intermediateSize: 176,
    layers: 4,
    attentionHeads: 4,
    keyValueHeads: 4,
    headDim: null,
    vocabSize: 320,
    maxPositionEmbeddings: 2048,
    maxSequenceLength: null,
    rmsNormEps: 1e-6,
    ropeScaling: null,
    ropeTheta: 10_000,
    tieWordEmbeddings: false,
    torchDType: "float16",
    bosTokenId: 1,
    eosTokenId: 2,
    padTokenId: 0,
    nameOrPath: null,
  });
});

test("an old conversion's: no positions by that name, -1 for no token", () => {
  const config = parse({
    architectures: ["LLaMAForCausalLM"],
    bos_token_id: 0,
    eos_token_id: 1,
    hidden_size: 4096,
    max_sequence_length: 2048,
    num_attention_heads: 32,
    pad_token_id: -1,
    torch_dtype: "torch.float16",
  });
  assert.deepEqual([config.bosTokenId, config.eosTokenId, config.padTokenId], [0, 1, -1]);
  assert.equal(config.torchDType, "float16");
  assert.equal(config.keyValueHeads, 32);
  assert.equal(config.maxPositionEmbeddings, null);
  assert.equal(contextTokensOf(config), 2048);
});

test("a new one's: dtype, rope_type, several end tokens", () => {
  const config = parse({
    dtype: "bfloat16",
    eos_token_id: [128_001, 128_009],
    rope_scaling: { rope_type: "llama3", factor: 8.0 },
    max_position_embeddings: 131_072,
    a_field_of_the_future: { any: ["thing"] },
  });
  assert.equal(config.torchDType, "bfloat16");
  assert.equal(config.eosTokenId, 128_001);
  assert.deepEqual(config.ropeScaling, { type: "llama3", factor: 8 });
  assert.equal(contextTokensOf(config), 131_072);
});

test("linear scaling stretches the context, as in Vicuna v1.5 16k", () => {
  const config = parse({
    max_position_embeddings: 4096,
    max_sequence_length: 16_384,
    rope_scaling: { factor: 4.0, type: "linear" },
  });
  assert.equal(contextTokensOf(config), 16_384);
});

test("an empty config, and nulls, say nothing", () => {
  const nothing = parse({});
  assert.deepEqual(parse({ hidden_size: null, rope_scaling: null, pad_token_id: null }), nothing);
  assert.equal(contextTokensOf(nothing), null);
  assert.ok(
    Object.values(nothing).every((value) => value === null || value === false || Array.isArray(value)),
  );
});

test("Python's words for numbers are read as Python reads them", (t) => {
  const folder = temporaryFolder(t);
  const text = '{"hidden_size": 64, "time_step_limit": [0.0, Infinity], "other": NaN}';
  writeFileSync(join(folder, "config.json"), text);
  assert.equal(readModelConfig(folder)?.hiddenSize, 64);
});

test("a folder without one", (t) => {
  const folder = temporaryFolder(t);
  assert.equal(readModelConfig(folder), null);
  assert.equal(readModelConfig(join(folder, "not-there")), null);
});

const MALFORMED: [title: string, text: string, got: RegExp][] = [
  ["no JSON", "<html>", /SyntaxError/],
  ["cut off", '{"hidden_size": 4096', /SyntaxError/],
  ["no object", "[]", /expected object/],
  ["a size that is text", '{"hidden_size": "4096"}', /^hidden_size: /],
  ["a size that is none", '{"num_hidden_layers": -3}', /^num_hidden_layers: /],
  ["a size that is no integer", '{"intermediate_size": 0.5}', /^intermediate_size: /],
  ["architectures that are one", '{"architectures": "LlamaForCausalLM"}', /^architectures: /],
  ["a scaling that is a number", '{"rope_scaling": 4}', /^rope_scaling: /],
  ["a token id that is text", '{"eos_token_id": "</s>"}', /^eos_token_id: /],
];

for (const [title, text, got] of MALFORMED) {
  test(`malformed: ${title}`, async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, "config.json"), text);
    await refusal(() => readModelConfig(folder), "bad-json", { file: join(folder, "config.json"), got });
  });
}

test("one that is far too large, and one that is a folder", async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "config.json");
  writeFileSync(path, "{}");
  truncateSync(path, 17_000_000);
  await refusal(() => readModelConfig(folder), "bad-json", { got: "17000000 bytes" });
  mkdirSync(join(folder, "other", "config.json"), { recursive: true });
  await refusal(() => readModelConfig(join(folder, "other")), "source-unreadable");
});
