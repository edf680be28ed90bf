/** The reader of shard indices: real ones, odd ones that are fine, and every way one can be wrong. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import type { ErrorCode } from "../../src/errors.js";
import { fixturePath } from "../support/fixture-path.js";
import { fixtureFile, memoryFile } from "../support/memory-file.js";
import { readShardIndex } from "../support/readers.js";
import { type ExpectedDetails, refusal } from "../support/refusal.js";

const PATH = "folder/model.safetensors.index.json";

const read = (text: string) => readShardIndex(memoryFile(Buffer.from(text, "utf8"), PATH));

const indexOf = (weightMap: string) => `{"metadata":{"total_size":1},"weight_map":${weightMap}}`;

test("an index of save_pretrained", async () => {
  const index = await readShardIndex(fixtureFile("shard-index/pretrained/model.safetensors.index.json"));
  const shards = readdirSync(fixturePath("shard-index/pretrained")).filter((name) => /^model-/.test(name));
  assert.deepEqual(index.shards, shards.sort());
  const { names } = JSON.parse(
    fixtureFile("shard-index/pretrained/state-dict.json").bytes.toString("utf8"),
  ) as {
    names: string[];
  };
  assert.deepEqual([...index.shardOf.keys()].sort(), names.sort());
  assert.equal(index.shardOf.get("lm_head.weight"), shards.at(-1));
});

const FINE: Record<string, string> = {
  "a total_size that is a decimal": '{"metadata":{"total_size":13476839424.0},"weight_map":{"a":"s.bin"}}',
  "a total_size beyond what a file can have": '{"metadata":{"total_size":1e300},"weight_map":{"a":"s.bin"}}',
  "a total_size beyond what a number can be":
    '{"metadata":{"total_size":123456789012345678901234567890},"weight_map":{"a":"s.bin"}}',
  "a total_size that is infinite": '{"metadata":{"total_size":Infinity},"weight_map":{"a":"s.bin"}}',
  "more metadata": '{"metadata":{"total_size":1,"total_parameters":2},"weight_map":{"a":"s.bin"}}',
  "no metadata": '{"weight_map":{"a":"s.bin"}}',
  "more fields": '{"weight_map":{"a":"s.bin"},"made_by":["someone",1.5,null]}',
  "spaces and line ends": '\r\n{ "weight_map" :\t{ "a" : "s.bin" } }\r\n',
};
for (const [title, text] of Object.entries(FINE)) {
  test(`fine: ${title}`, async () => {
    const index = await read(text);
    assert.deepEqual([...index.shardOf], [["a", "s.bin"]]);
    assert.deepEqual(index.shards, ["s.bin"]);
  });
}

test("shards come once each, sorted", async () => {
  const index = await read(indexOf('{"a":"s-2.bin","b":"s-1.bin","c":"s-2.bin"}'));
  assert.deepEqual(index.shards, ["s-1.bin", "s-2.bin"]);
});

test("tensors may have the names of properties of Object.prototype", async () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "0", ""];
  const entries = names.map((name, i) => `${JSON.stringify(name)}:"s${i}.bin"`);
  const index = await read(indexOf(`{${entries.join(",")}}`));
  for (const [i, name] of names.entries()) assert.equal(index.shardOf.get(name), `s${i}.bin`);
  assert.equal(index.shardOf.size, names.length);
});

test("shards may have names with dots and spaces", async () => {
  const name = "..model (1)...safetensors";
  assert.deepEqual((await read(indexOf(`{"a":${JSON.stringify(name)}}`))).shards, [name]);
});

const OUTSIDE = [
  "../model.bin",
  "sub/model.bin",
  "/etc/passwd",
  "./model.bin",
  "..\\model.bin",
  "sub\\model.bin",
  "\\\\host\\share\\model.bin",
  "C:model.bin",
  "C:\\model.bin",
  "model.bin:stream",
  "model.bin\u0000.safetensors",
  "model\n.bin",
  "",
  ".",
  "..",
];
for (const name of OUTSIDE) {
  test(`a shard outside the folder: ${JSON.stringify(name)}`, async () => {
    const weightMap = JSON.stringify({ "a.weight": "model.bin", "b.weight": name });
    await refusal(() => read(indexOf(weightMap)), "shard-outside-folder", {
      file: PATH,
      tensor: "b.weight",
      got: JSON.stringify(name),
    });
  });
}

const REFUSED: [text: string, code: ErrorCode, details: ExpectedDetails][] = [
  ["", "index-malformed", { offsetBytes: 0 }],
  ["\ufeff{}", "index-malformed", { offsetBytes: 0 }],
  ["<!doctype html>", "index-malformed", { offsetBytes: 0 }],
  ["version https://git-lfs.github.com/spec/v1\n", "index-malformed", { offsetBytes: 0 }],
  ["[]", "index-malformed", { message: /the document/ }],
  ["null", "index-malformed", { message: /the document/ }],
  ["1.5", "index-malformed", { message: /weight_map/ }],
  ["{}", "index-malformed", { message: /weight_map/ }],
  [indexOf("null"), "index-malformed", { message: /weight_map/ }],
  [indexOf('["s.bin"]'), "index-malformed", { message: /weight_map/ }],
  [indexOf('"s.bin"'), "index-malformed", { message: /weight_map/ }],
  [indexOf("1.5"), "index-malformed", { message: /weight_map/ }],
  [indexOf("{}"), "index-malformed", { message: /names no tensor/ }],
  [indexOf('{"a":1}'), "index-malformed", { message: /a/ }],
  [indexOf('{"a":null}'), "index-malformed", { message: /a/ }],
  [indexOf('{"a":["s.bin"]}'), "index-malformed", { message: /a/ }],
  [indexOf('{"__proto__":{"a":"s.bin"}}'), "index-malformed", { message: /shard's name is not a string/ }],
  [`${indexOf('{"a":"s.bin"}')}{}`, "index-malformed", { message: /end of file expected/ }],
  [indexOf('{"a":"s.bin","a":"s.bin"}'), "duplicate-tensor", { message: /"a" stands twice/ }],
  [indexOf('{"a":"s.bin","\\u0061":"t.bin"}'), "duplicate-tensor", { message: /"a" stands twice/ }],
  ['{"weight_map":{"a":"s.bin"},"weight_map":{}}', "duplicate-tensor", { offsetBytes: 28 }],
];
for (const [text, code, details] of REFUSED) {
  test(`refused: ${text || "an empty file"}`, async () => {
    await refusal(() => read(text), code, { file: PATH, ...details });
  });
}

test("an index too large to be one is refused unread", async () => {
  const file = { ...memoryFile(Buffer.alloc(0), PATH), byteLength: 16_000_001 };
  await refusal(() => readShardIndex(file), "index-malformed", {
    file: PATH,
    message: /longer than 16000000/,
  });
  assert.equal(file.reads, 0);
});
