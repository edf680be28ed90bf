/** The writer of shard indices: the text that transformers writes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { encodeShardIndex } from "../../src/formats/shard-index.js";
import { indexFileName, shardFileName } from "../../src/formats/table.js";
import { fixturePath } from "../support/fixture-path.js";
import { memoryFile } from "../support/memory-file.js";
import { readShardIndex } from "../support/readers.js";

const fixture = (name: string) => readFileSync(fixturePath(`shard-index/${name}`), "utf8");

test("the index of a real save_pretrained, from its tensors in any order", () => {
  const text = fixture("pretrained/model.safetensors.index.json");
  const index = JSON.parse(text) as {
    metadata: { total_parameters: number; total_size: number };
    weight_map: Record<string, string>;
  };
  const { total_parameters: parameters, total_size: bytes } = index.metadata;
  const shardOf = Object.entries(index.weight_map);
  assert.equal(encodeShardIndex(new Map(shardOf), parameters, bytes), text);
  assert.equal(encodeShardIndex(new Map(shardOf.reverse()), parameters, bytes), text);
});

const escapes = JSON.parse(fixture("escapes.json")) as { names: string[]; shard: string; text: string };

test("names are escaped and sorted as json.dumps does it", () => {
  const shardOf = new Map(escapes.names.map((name) => [name, escapes.shard]));
  assert.equal(encodeShardIndex(shardOf, 3, 7), escapes.text);
});

test("what is written reads back the same", async () => {
  const shardOf = new Map(escapes.names.map((name, i) => [name, `s${i}.safetensors`]));
  const text = encodeShardIndex(shardOf, 2 ** 52, 2 ** 53 - 1);
  const index = await readShardIndex(memoryFile(Buffer.from(text)));
  assert.equal(index.totalBytes, 2 ** 53 - 1);
  assert.deepEqual(new Map([...index.shardOf].sort()), new Map([...shardOf].sort()));
});

test("names of shards", () => {
  assert.equal(shardFileName("safetensors", 1, 1), "model.safetensors");
  assert.equal(shardFileName("safetensors", 1, 2), "model-00001-of-00002.safetensors");
  assert.equal(shardFileName("safetensors", 12, 345), "model-00012-of-00345.safetensors");
  assert.equal(shardFileName("safetensors", 99_999, 100_000), "model-99999-of-100000.safetensors");
  assert.equal(indexFileName("safetensors"), "model.safetensors.index.json");
  assert.equal(shardFileName("bin", 1, 1), "pytorch_model.bin");
  assert.equal(shardFileName("bin", 12, 345), "pytorch_model-00012-of-00345.bin");
  assert.equal(indexFileName("bin"), "pytorch_model.bin.index.json");
});
