import assert from "node:assert/strict";
import { test } from "node:test";
import type { KeyValue } from "../../src/llama/gguf/key-values.js";
import { readModelName, sizeLabelOf } from "../../src/llama/gguf/model-name.js";
import {
  CONFIG,
  GOLDEN_CASES,
  GOLDEN_NAMES,
  type GoldenValue,
  goldenAssets,
  metadataOf,
} from "../support/gguf-golden.js";

const FILE_TYPES = { f32: 0, f16: 1, q8_0: 7, bf16: 32 } as const;

/** As gguf-py names types. */
const TYPES = { u32: "uint32", i32: "int32", f32: "float32", bool: "bool", string: "string" } as const;

function asGolden(entry: KeyValue): GoldenValue {
  const type = entry.type === "array" ? `array of ${TYPES[entry.items]}` : TYPES[entry.type];
  return [entry.key, type, entry.value];
}

/** The order of keys means nothing. */
function byKey(values: readonly GoldenValue[]): Map<string, GoldenValue> {
  const map = new Map(values.map((value) => [value[0], value]));
  assert.equal(map.size, values.length, "a key stands twice");
  return map;
}

for (const [title, { name, outtype, parameters, files, values }] of GOLDEN_CASES) {
  test(`as llama.cpp's converter says it: ${title}`, async () => {
    const made = await metadataOf(goldenAssets(files), { name, parameters, fileType: FILE_TYPES[outtype] });
    assert.deepEqual(byKey(made.map(asGolden)), byKey(values));
  });
}

test("a model's name is read as gguf-py reads it", () => {
  for (const { id, parameters, parts } of GOLDEN_NAMES.names) {
    assert.deepEqual(readModelName(id, parameters), parts, id);
  }
});

test("a number of parameters is rounded as gguf-py does", () => {
  for (const [parameters, label] of GOLDEN_NAMES.sizes) assert.equal(sizeLabelOf(parameters), label);
});

test("a row that tokenizer.json has no token for gets a name, where the converter's file has too few", async () => {
  const files = {
    "tokenizer.model": null,
    "tokenizer.json": {},
    "config.json": { ...CONFIG, vocab_size: 322 },
  };
  const made = await metadataOf(goldenAssets(files));
  const tokens = made.find(({ key }) => key === "tokenizer.ggml.tokens")?.value;
  assert.deepEqual((tokens as string[]).slice(319), [(tokens as string[])[319], "[PAD320]", "[PAD321]"]);
});

test("an id that no row has, as in old configs, is left out", async () => {
  const files = { "config.json": { ...CONFIG, bos_token_id: 0, pad_token_id: -1 } };
  const made = await metadataOf(goldenAssets(files));
  const ids = made.filter(({ key }) => key.endsWith("_token_id")).map(({ key, value }) => [key, value]);
  assert.deepEqual(ids, [
    ["tokenizer.ggml.bos_token_id", 0],
    ["tokenizer.ggml.eos_token_id", 2],
  ]);
});
