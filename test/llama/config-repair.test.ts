/** Single values of config.json and generation_config.json are repaired, and the rest stays as it is written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ConfigFacts,
  repairConfig,
  repairGenerationConfig,
  type SpecialIds,
} from "../../src/llama/model-config.js";
import { refusal } from "../support/refusal.js";

const IDS: SpecialIds = { bos: 1, eos: 2, unk: 0, pad: null };
const file = (text: string) => ({ path: "delta/config.json", text });

function mend(text: string, ids: SpecialIds | null = IDS, rows: number | null = 32000) {
  const notes: string[] = [];
  return { text: repairGenerationConfig(file(text), { rows, ids }, notes), notes };
}

test("the ids of old conversions become the tokenizer's", () => {
  const { text, notes } = mend('{"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": -1, "x": 1.0}');
  assert.equal(text, '{"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "x": 1.0}');
  assert.deepEqual(notes, [
    "generation_config.json: bos_token_id was 0, the tokenizer says 1.",
    "generation_config.json: eos_token_id was 1, the tokenizer says 2.",
    "generation_config.json: pad_token_id was -1, the tokenizer says 0.",
  ]);
});

test("ids that may be meant stay", () => {
  for (const text of [
    '{"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}',
    '{"bos_token_id": 1, "eos_token_id": [2, 13], "pad_token_id": 2}',
    '{"eos_token_id": 13}',
    '{"eos_token_id": [2, 1]}',
    '{"bos_token_id": null, "eos_token_id": null, "pad_token_id": null}',
    "{}",
  ]) {
    assert.deepEqual(mend(text), { text, notes: [] });
  }
});

test("ids without a row, and a pad other than the one the tokenizer names, don't stay", () => {
  assert.equal(mend('{"eos_token_id": 32000}').text, '{"eos_token_id": 2}');
  assert.equal(mend('{"eos_token_id": [0, 1]}').text, '{"eos_token_id": 2}');
  assert.equal(mend('{"pad_token_id": 32000}').text, '{"pad_token_id": 0}');
  assert.equal(mend('{"pad_token_id": 0}', { ...IDS, pad: 31999 }).text, '{"pad_token_id": 31999}');
  assert.equal(mend('{"eos_token_id": 1}', null).text, '{"eos_token_id": 1}');
  assert.equal(mend('{"pad_token_id": 32000}', IDS, null).text, '{"pad_token_id": 32000}');
});

function correct(config: string, facts: Partial<ConfigFacts> = {}) {
  const notes: string[] = [];
  const text = repairConfig(file(config), { rows: 32000, torchDType: "float16", ids: null, ...facts }, notes);
  return { text, notes };
}

const REAL = `{
  "architectures": ["LlamaForCausalLM"],
  "rms_norm_eps": 1e-06,
  "rope_theta": 10000.0,
  "rope_scaling": {"factor": 2.0, "type": "linear"},
  "torch_dtype": "float32",
  "escaped": "\\u00e9\\/",
  "vocab_size": 32001
}
`;

test("only the values that aren't true change: spaces, decimals, escapes and order stay", () => {
  const { text, notes } = correct(REAL);
  assert.equal(text, REAL.replace('"float32"', '"float16"').replace("32001", "32000"));
  assert.deepEqual(notes, [
    "config.json: torch_dtype set to float16 to match the tensors.",
    "config.json: vocab_size set to 32000 to match the tensors.",
  ]);
});

test("other layouts of the text stay too", () => {
  const variants = [
    REAL.replaceAll("\n", "\r\n"),
    REAL.replaceAll("  ", "\t"),
    JSON.stringify(JSON.parse(REAL)),
    REAL.trimEnd(),
    `\n\n${REAL}\n`,
  ];
  for (const config of variants) {
    const { text } = correct(config);
    assert.equal(text, config.replace('"float32"', '"float16"').replace("32001", "32000"));
  }
});

test("a nested key of the same name is left alone", () => {
  const config =
    '{"text_config": {"torch_dtype": "float32", "vocab_size": 5}, "torch_dtype": "bfloat16", "vocab_size": 6}';
  const { text } = correct(config);
  assert.equal(
    text,
    '{"text_config": {"torch_dtype": "float32", "vocab_size": 5}, "torch_dtype": "float16", "vocab_size": 32000}',
  );
});

test("keys that are missing are added, the rest stays", () => {
  const config = '{\n  "rope_theta": 10000.0\n}\n';
  const { text } = correct(config);
  assert.deepEqual(JSON.parse(text), { rope_theta: 10000, torch_dtype: "float16", vocab_size: 32000 });
  assert.ok(text.startsWith('{\n  "rope_theta": 10000.0,'), text);
});

test("transformers 5's `dtype` is kept true under its own name", () => {
  const { text, notes } = correct('{"dtype": "float32", "vocab_size": 32000}');
  assert.equal(text, '{"dtype": "float16", "vocab_size": 32000}');
  assert.deepEqual(notes, ["config.json: dtype set to float16 to match the tensors."]);
  assert.equal(
    correct('{"dtype": "float32", "torch_dtype": null, "vocab_size": 32000}').text,
    '{"dtype": "float16", "torch_dtype": null, "vocab_size": 32000}',
  );
});

test("where `dtype` and `torch_dtype` both stand, both are kept true", () => {
  const { text } = correct('{"dtype": "float16", "torch_dtype": "bfloat16", "vocab_size": 32000}', {
    torchDType: "float32",
  });
  assert.equal(text, '{"dtype": "float32", "torch_dtype": "float32", "vocab_size": 32000}');
});

test("a `torch_dtype` of null is set", () => {
  const { text } = correct('{"torch_dtype": null, "vocab_size": 32000}');
  assert.equal(text, '{"torch_dtype": "float16", "vocab_size": 32000}');
});

test("a target without an embedding says nothing about the vocabulary", () => {
  assert.equal(correct('{"torch_dtype":"float16"}', { rows: null }).text, '{"torch_dtype":"float16"}');
  assert.match(correct('{"torch_dtype":"x","vocab_size":9}', { rows: null }).text, /"vocab_size":9/);
});

const MALFORMED: Record<string, string> = {
  "no JSON": "{",
  "an empty file": "",
  "a comment": '{"vocab_size": 1 /* rows */}',
  "a comma at the end": '{"vocab_size": 1,}',
  "a list": "[]",
  "a text": '"config"',
  null: "null",
  "vocab_size as text": '{"vocab_size": "32000"}',
  "vocab_size as a fraction": '{"vocab_size": 1.5}',
  "vocab_size below zero": '{"vocab_size": -1}',
  "torch_dtype as a number": '{"torch_dtype": 16}',
  "dtype as a list": '{"dtype": ["float16"]}',
  "a web page": "<!doctype html>",
};
for (const [title, config] of Object.entries(MALFORMED)) {
  test(`a config that is refused: ${title}`, async () => {
    await refusal(() => correct(config), "bad-json", { file: "delta/config.json", got: /./ });
  });
}

test("config.json: the class's old name, and the ids", () => {
  const { text, notes } = correct(
    '{"architectures": ["LLaMAForCausalLM"], "eos_token_id": 1, "rope": 10000.0, "torch_dtype": "float16", "vocab_size": 32000}',
    { ids: IDS },
  );
  assert.equal(
    text,
    '{"architectures": ["LlamaForCausalLM"], "eos_token_id": 2, "rope": 10000.0, "torch_dtype": "float16", "vocab_size": 32000}',
  );
  assert.deepEqual(notes, [
    "config.json: LLaMAForCausalLM is LlamaForCausalLM since transformers 4.28.",
    "config.json: eos_token_id was 1, the tokenizer says 2.",
  ]);
});

test("an id that is no integer is refused", async () => {
  for (const text of ['{"eos_token_id": "2"}', '{"eos_token_id": 1.5}', '{"pad_token_id": [true]}']) {
    await refusal(() => mend(text), "bad-json", { got: /token_id/ });
  }
});
