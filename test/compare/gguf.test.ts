/** Comparing GGUFs with each other and with the folder they are made of. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compareModels, inspectModel } from "../../src/index.js";
import { readGgufFile, tinyGguf } from "../support/gguf-target.js";

test("a GGUF and the folder it would be made of are equal by value: rows in order, numbers within a step", async (context) => {
  const folder = await tinyGguf(context, { target: "folder" });
  for (const [dtype, equalBits] of [
    ["F16", 30],
    ["F32", 0],
    ["Q8_0", 4],
    ["Q4_0", 4],
  ] as const) {
    const gguf = await tinyGguf(context, { dtype });
    for (const [a, b] of [
      [gguf, folder],
      [folder, gguf],
    ] as const) {
      const { isEqual, tensors, files, notes, onlyInA, onlyInB } = await compareModels({ a, b });
      assert.ok(isEqual, dtype);
      assert.deepEqual(tensors, { compared: 39, equalBits, withinTolerance: 39 - equalBits, different: 0 });
      assert.deepEqual([onlyInA, onlyInB], [[], []]);
      assert.deepEqual(
        files?.map(({ isDifferent, differences }) => [isDifferent, differences]),
        [[false, 0]],
      );
      assert.equal(
        notes.some((note) => note.includes("after dequantizing")),
        dtype.startsWith("Q"),
      );
    }
  }
});

test("what is further off than rounding is found, under transformers' names; a tolerance of one's own counts instead", async (context) => {
  const folder = await tinyGguf(context, { target: "folder" });
  const gguf = await tinyGguf(context, { dtype: "Q8_0" });
  const { tensors, bytes } = await readGgufFile(gguf);
  const q = tensors.find(({ name }) => name === "blk.1.attn_q.weight");
  assert.ok(q !== undefined);
  // Row 1 of a head in GGUF is row 8 of 16 in transformers'. Its first quantum moves by two steps.
  const at = q.offsetBytes + 2 * 34 + 2;
  bytes.writeInt8(bytes.readInt8(at) > 0 ? bytes.readInt8(at) - 2 : bytes.readInt8(at) + 2, at);
  writeFileSync(gguf, bytes);
  const found = await compareModels({ a: gguf, b: folder });
  assert.deepEqual([found.isEqual, found.tensors.different], [false, 1]);
  const [tensor] = found.differing.filter(({ isWithinTolerance }) => !isWithinTolerance);
  assert.deepEqual(
    [tensor?.name, tensor?.beyondTolerance, tensor?.largestAbsolute?.index],
    ["model.layers.1.self_attn.q_proj.weight", 1, [8, 0]],
  );
  const tolerant = await compareModels({ a: gguf, b: folder, tolerance: 0.01 });
  assert.deepEqual([tolerant.isEqual, tolerant.tolerance], [true, { absolute: 0.01, relative: 0 }]);
});

test("two GGUFs: blocks bit by bit, dtypes and keys", async (context) => {
  const a = await tinyGguf(context, { dtype: "Q8_0" });
  const b = await tinyGguf(context, { dtype: "Q8_0" });
  assert.ok((await compareModels({ a, b })).isEqual);
  const { tensors, bytes } = await readGgufFile(b);
  bytes.writeUInt8((bytes[tensors[3]?.offsetBytes ?? 0] ?? 0) ^ 1, tensors[3]?.offsetBytes);
  writeFileSync(b, bytes);
  const { differing } = await compareModels({ a, b });
  assert.deepEqual(
    differing.map(({ name, differentBits, first }) => [name, differentBits, first]),
    [[tensors[3]?.name, 1, [0, 0]]],
  );
  const other = await compareModels({ a, b: await tinyGguf(context, { dtype: "Q4_0" }) });
  assert.deepEqual(
    other.files?.flatMap(({ keys }) => keys.filter(({ isNote }) => !isNote).map(({ at }) => at)),
    ["general.file_type"],
  );
});

test("one in parts equals the whole, and the folder", async (context) => {
  const target = await tinyGguf(context, { maxShardBytes: 100_000 });
  const a = target.replace(".gguf", "-00002-of-00006.gguf");
  for (const whole of ["vicuna.gguf", "folder"]) {
    const { isEqual, tensors, files } = await compareModels({
      a,
      b: await tinyGguf(context, { target: whole }),
    });
    assert.deepEqual([isEqual, tensors.compared, files?.[0]?.differences], [true, 39, 0], whole);
  }
});

test("another vocabulary in the folder is a difference of keys", async (context) => {
  const folder = await tinyGguf(context, { target: "folder" });
  const gguf = await tinyGguf(context, { dtype: "Q4_0" });
  writeFileSync(join(folder, "added_tokens.json"), '{"<more>": 319}');
  const { isEqual, files } = await compareModels({ a: gguf, b: folder });
  assert.equal(isEqual, false);
  assert.ok(files?.[0]?.keys.some(({ at }) => at === "tokenizer.ggml.tokens[319]"));
});

test("inspecting says what is stored, and of what size", async (context) => {
  const { formats, dtypes, config, tokenizer, tensors } = await inspectModel({
    model: await tinyGguf(context, { dtype: "Q4_0" }),
  });
  assert.deepEqual(formats, ["GGUF"]);
  assert.deepEqual(
    dtypes.map(({ dtype, tensors: count, bytes }) => [dtype, count, bytes]),
    [
      ["Q4_0", 26, (196_608 * 18) / 32],
      ["F16", 4, 90_112],
      ["F32", 9, 2304],
    ],
  );
  assert.deepEqual(
    [config?.layers, config?.attentionHeads, config?.contextTokens, tokenizer.pieces],
    [4, 4, 2048, 320],
  );
  assert.equal(tensors[0]?.name, "token_embd.weight");
});

test("a folder of other numbers isn't equal", async (context) => {
  const folder = await tinyGguf(context, { target: "folder" });
  const path = join(folder, "model.safetensors");
  const bytes = readFileSync(path);
  bytes.writeUInt8((bytes.at(-1) ?? 0) ^ 0x40, bytes.length - 1);
  writeFileSync(path, bytes);
  const { isEqual, tensors } = await compareModels({ a: await tinyGguf(context), b: folder });
  assert.deepEqual([isEqual, tensors.different], [false, 1]);
});
