/** What the configurations of base and delta say about each other, in words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { configHints, sizeOfWidth } from "../../src/base-check/config-hints.js";
import { parseModelConfig } from "../../src/llama/model-config.js";

const config = (fields: object) => parseModelConfig({ path: "config.json", text: JSON.stringify(fields) });

const LLAMA_1 = {
  hidden_size: 4096,
  num_hidden_layers: 32,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
};
const LLAMA_2 = { ...LLAMA_1, max_position_embeddings: 4096, rms_norm_eps: 1e-5 };

const CASES: readonly [string, object, object, readonly string[]][] = [
  ["the same", LLAMA_1, LLAMA_1, []],
  [
    "Llama 2 under a delta of LLaMA 1",
    LLAMA_2,
    LLAMA_1,
    ["the base looks like Llama 2 (4096 positions), the delta was made for LLaMA 1 (2048 positions)"],
  ],
  [
    "Llama 3",
    { ...LLAMA_2, vocab_size: 128256 },
    LLAMA_1,
    ["the base looks like Llama 3 (128256 tokens), the delta was made for LLaMA 1 (2048 positions)"],
  ],
  [
    "13B under 7B",
    { ...LLAMA_1, hidden_size: 5120, num_hidden_layers: 40 },
    LLAMA_1,
    ["the base is 13B, the delta 7B", "the base has 40 layers, the delta 32"],
  ],
  [
    "another epsilon only",
    { ...LLAMA_1, rms_norm_eps: 1e-5 },
    LLAMA_1,
    ["rms_norm_eps is 0.00001 in the base and 0.000001 in the delta"],
  ],
  ["fields that one side lacks", {}, LLAMA_1, []],
  [
    "old conversions name the positions otherwise",
    { ...LLAMA_1, max_position_embeddings: undefined, max_sequence_length: 2048 },
    LLAMA_1,
    [],
  ],
];

for (const [name, base, delta, hints] of CASES) {
  test(`config hints: ${name}`, () => assert.deepEqual(configHints(config(base), config(delta)), hints));
}

test("config hints: nothing is said where a config is missing", () => {
  assert.deepEqual(configHints(null, config(LLAMA_1)), []);
  assert.deepEqual(configHints(config(LLAMA_1), null), []);
});

test("sizes by width", () => {
  assert.equal(sizeOfWidth(5120), "13B");
  assert.equal(sizeOfWidth(1024), "width 1024");
});
