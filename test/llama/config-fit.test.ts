/** config.json against the tensors: what their shapes decide is made true, and the rest is named. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseModelConfig, repairAutoMap, repairConfig } from "../../src/llama/model-config.js";
import { expectedTensors } from "../../src/llama/tensor-names.js";
import { configFaults } from "../../src/verify/check-structure.js";

const RIGHT = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: 64,
  intermediate_size: 172,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 320,
  torch_dtype: "float16",
  tie_word_embeddings: false,
};

const configOf = (changes: object) =>
  parseModelConfig({ path: "config.json", text: JSON.stringify({ ...RIGHT, ...changes }) });

const TENSORS = [...(expectedTensors(configOf({})) ?? [])].map(([name, shape]) => ({
  name,
  shape,
  dtype: "F16" as const,
}));

function repaired(changes: object) {
  const notes: string[] = [];
  const text = repairConfig(
    { path: "config.json", text: JSON.stringify({ ...RIGHT, ...changes }) },
    { rows: 320, torchDType: "float16", ids: null, tensors: TENSORS },
    notes,
  );
  return { config: JSON.parse(text), notes };
}

const DECIDED: Record<string, object> = {
  layers: { num_hidden_layers: 40 },
  "the feed-forward width": { intermediate_size: 13824 },
  "the width": { hidden_size: 5120 },
  "key-value heads": { num_key_value_heads: 4 },
  "a 13B's": { num_hidden_layers: 40, hidden_size: 5120, intermediate_size: 13824 },
};
for (const [title, changes] of Object.entries(DECIDED)) {
  test(`made true: ${title}`, () => {
    const { config, notes } = repaired(changes);
    assert.deepEqual(config, RIGHT);
    assert.equal(notes.length, Object.keys(changes).length);
    assert.match(notes[0] ?? "", /^config\.json: \w+ set to \d+ to match the tensors\.$/);
    assert.deepEqual(configFaults(configOf(config), TENSORS), []);
    assert.notDeepEqual(configFaults(configOf(changes), TENSORS), []);
  });
}

test("quantization_config is removed; what is right stays", () => {
  const { config, notes } = repaired({ quantization_config: { load_in_8bit: true } });
  assert.deepEqual([config, notes.length], [RIGHT, 1]);
  assert.deepEqual(repaired({}), { config: RIGHT, notes: [] });
});

test("a plain LLaMA needs no auto_map; for another it is named", () => {
  const auto_map = { AutoModelForCausalLM: "modeling_x.X" };
  const plain = repairAutoMap("config.json", JSON.stringify({ ...RIGHT, auto_map }));
  assert.deepEqual(JSON.parse(plain.text), RIGHT);
  const other = JSON.stringify({ ...RIGHT, architectures: ["XForCausalLM"], auto_map });
  const { text, code } = repairAutoMap("config.json", other);
  assert.equal(text, other);
  assert.match(code?.remark ?? "", /auto_map names code \(modeling_x\.X\)/);
  assert.equal(code?.isRemoved, false);
});

const UNDECIDED: Record<string, [object, RegExp]> = {
  "heads that don't divide the width": [{ num_attention_heads: 7 }, /^num_attention_heads is 7/],
  "heads that key-value heads don't divide": [{ num_key_value_heads: 3 }, /^num_key_value_heads is 3/],
  "another family": [{ architectures: ["GPT2LMHeadModel"] }, /^GPT2LMHeadModel has tensors of other names/],
};
for (const [title, [changes, says]] of Object.entries(UNDECIDED)) {
  test(`a fault: ${title}`, () => {
    assert.match(configFaults(configOf(changes), TENSORS)[0] ?? "", says);
  });
}

test("a fault: a head that is missing though nothing ties it, and a name that no LLaMA has", () => {
  const headless = TENSORS.filter(({ name }) => name !== "lm_head.weight");
  assert.deepEqual(configFaults(configOf({}), headless), ["lm_head.weight is missing"]);
  assert.deepEqual(configFaults(configOf({ tie_word_embeddings: true }), headless), []);
  const odd = { name: "model.layers.0.odd", shape: [1], dtype: "F16" as const };
  assert.deepEqual(configFaults(configOf({}), [...TENSORS, odd]), [
    "model.layers.0.odd isn't one of its tensors",
  ]);
});
