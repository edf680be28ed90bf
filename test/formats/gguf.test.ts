/** The GGUF reader and writer against each other, and every way in which a file can be bad. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Budget } from "../../src/budget.js";
import type { ErrorCode } from "../../src/errors.js";
import type { GgufEntry } from "../../src/formats/gguf/metadata.js";
import { readGguf } from "../../src/formats/gguf/reader.js";
import { layOutGguf } from "../../src/formats/gguf/writer.js";
import { HeaderReader } from "../../src/formats/header-reader.js";
import { BLOCK_DTYPES, blockElements, denseSpan } from "../../src/tensor.js";
import { type GgufParts, ggufBytes, key, tensor, text, u32, u64 } from "../support/gguf-bytes.js";
import { memoryFile } from "../support/memory-file.js";
import { type ExpectedDetails, refusal } from "../support/refusal.js";

const PATH = "folder/model.gguf";

const headerOf = (bytes: Uint8Array) => new HeaderReader(memoryFile(bytes, PATH), new Budget());

/** A matrix of 2 x 32 F16, 128 bytes. */
const MATRIX = tensor("a.weight", [32, 2]);

const FAULTS: Readonly<Record<string, [GgufParts, ErrorCode, ExpectedDetails?]>> = {
  "another magic": [{ magic: "GGUX" }, "header-malformed", { message: /begin with GGUF/ }],
  "version 1": [{ version: 1 }, "header-malformed", { got: 1, expected: "version 2 or 3" }],
  "version 4": [{ version: 4 }, "header-malformed", { got: 4 }],
  "the other byte order": [{ version: 0x03000000 }, "big-endian"],
  "counts that nothing can hold": [
    { keyCount: 2n ** 63n },
    "header-malformed",
    { message: /9223372036854775808/ },
  ],
  "tensors without end": [{ tensorCount: 2n ** 40n }, "header-malformed"],
  "a key less than it says": [{ keyCount: 1, alignment: 1 }, "truncated-file"],
  "a key that ends in the middle": [
    { keys: [text("k").subarray(0, 6)], keyCount: 1, alignment: 1 },
    "truncated-file",
  ],
  "an empty key": [{ keys: [key("", 4, u32(1))] }, "header-malformed", { message: /key is empty/ }],
  "a key twice": [
    { keys: [key("k", 4, u32(1)), key("k", 4, u32(1))] },
    "header-malformed",
    { message: /"k".*twice/ },
  ],
  "a key that isn't UTF-8": [
    { keys: [Buffer.concat([text(Buffer.of(0xff)), u32(4), u32(1)])] },
    "header-malformed",
  ],
  "an unknown type": [{ keys: [key("k", 13, u32(1))] }, "header-malformed", { message: /unknown type 13/ }],
  "a string beyond the end": [{ keys: [key("k", 8, text("x", 2n ** 62n))] }, "header-malformed"],
  "a bool of 2": [{ keys: [key("k", 7, Buffer.of(2))] }, "header-malformed", { message: /bool is 2/ }],
  "an array of arrays": [
    { keys: [key("k", 9, u32(9), u64(1))] },
    "header-malformed",
    { message: /items of the type 9/ },
  ],
  "an array beyond the end": [
    { keys: [key("k", 9, u32(4), u64(100))] },
    "header-malformed",
    { message: /100 items/ },
  ],
  "an array of 2^64 bytes": [{ keys: [key("k", 9, u32(0), u64(2n ** 64n - 1n))] }, "header-malformed"],
  "an alignment of 0": [{ keys: [key("general.alignment", 4, u32(0))] }, "header-malformed"],
  "an alignment of 24": [{ keys: [key("general.alignment", 4, u32(24))] }, "header-malformed"],
  "an alignment of 2^31": [{ keys: [key("general.alignment", 4, u32(2 ** 31))] }, "header-malformed"],
  "an alignment as text": [{ keys: [key("general.alignment", 8, text("32"))] }, "header-malformed"],
  "a tensor without a name": [{ tensors: [tensor("", [32])], data: 64 }, "header-malformed"],
  "a name longer than ggml's": [{ tensors: [tensor("n".repeat(64), [32])], data: 64 }, "header-malformed"],
  "five dimensions": [
    { tensors: [tensor("t", [1, 1, 1, 1, 32])], data: 64 },
    "header-malformed",
    { tensor: "t" },
  ],
  "a size beyond any file": [
    { tensors: [tensor("t", [2n ** 40n, 2n ** 40n])] },
    "header-malformed",
    { tensor: "t" },
  ],
  "a size that an extent of 0 hides": [{ tensors: [tensor("t", [2n ** 63n, 0])] }, "header-malformed"],
  "a removed type": [{ tensors: [tensor("t", [32], 4)], data: 64 }, "unsupported-dtype", { tensor: "t" }],
  "a type to come": [{ tensors: [tensor("t", [32], 1000)], data: 64 }, "unsupported-dtype"],
  "a row of half a block": [{ tensors: [tensor("t", [16, 2], 8)], data: 34 }, "wrong-size", { tensor: "t" }],
  "a tensor twice": [
    { tensors: [MATRIX, tensor("a.weight", [32, 2], 1, 128)], data: 256 },
    "duplicate-tensor",
  ],
  "a hole": [
    { tensors: [MATRIX, tensor("b", [32], 1, 160)], data: 224 },
    "data-hole",
    { expected: "offset 128" },
  ],
  "an overlap": [{ tensors: [MATRIX, tensor("b", [32], 1, 96)], data: 160 }, "data-overlap", { tensor: "b" }],
  "an offset beyond all numbers": [
    { tensors: [tensor("t", [32], 1, 2n ** 64n - 32n)], data: 64 },
    "data-hole",
  ],
  "an offset between the steps": [{ tensors: [tensor("t", [32], 1, 8)], data: 72 }, "data-hole"],
  "data that is cut off": [
    { tensors: [MATRIX], data: 127 },
    "truncated-file",
    { message: /before its last tensor/ },
  ],
  "no data at all": [{ tensors: [MATRIX] }, "truncated-file"],
  "bytes behind the data": [{ tensors: [MATRIX], data: 160 }, "overlong-file"],
};

for (const [fault, [parts, code, details]] of Object.entries(FAULTS)) {
  test(`refuses ${fault}`, async () => {
    const bytes = ggufBytes(parts);
    await refusal(() => readGguf(headerOf(bytes)), code, { file: PATH, ...details });
  });
}

test("refuses arrays that take more memory than any model's", async () => {
  const items = 2 ** 21 + 1;
  const bytes = Buffer.concat([
    ggufBytes({ keys: [key("k", 9, u32(0), u64(items))], alignment: 1 }),
    Buffer.alloc(items),
  ]);
  await refusal(() => readGguf(headerOf(bytes)), "too-large", { file: PATH });
});

test("refuses a header longer than any model's", async () => {
  const bytes = ggufBytes({ keys: [key("k", 8, text(Buffer.alloc(33 << 20, "a")))] });
  await refusal(() => readGguf(headerOf(bytes)), "too-large", { file: PATH });
});

test("refuses a file that is cut off anywhere", async () => {
  const bytes = ggufBytes({
    keys: [key("k", 9, u32(8), u64(2), text("x"), text("yz"))],
    tensors: [MATRIX],
    data: 128,
  });
  for (let length = 0; length < bytes.length; length++) {
    const cut = headerOf(bytes.subarray(0, length));
    await assert.rejects(readGguf(cut), /GGUF|file/, `${length} bytes`);
  }
});

test("the padding behind the last tensor may be missing, and version 2 is read as 3", async () => {
  for (const data of [96 - 30, 96]) {
    const bytes = ggufBytes({ version: 2, tensors: [tensor("t", [33])], data });
    const { tensors } = await readGguf(headerOf(bytes));
    assert.deepEqual(tensors[0]?.shape, [33]);
  }
});

test("an alignment of its own moves the data", async () => {
  const bytes = ggufBytes({
    keys: [key("general.alignment", 4, u32(256))],
    tensors: [tensor("a", [32]), tensor("b", [32], 1, 256)],
    alignment: 256,
    data: 320,
  });
  const { tensors } = await readGguf(headerOf(bytes));
  assert.deepEqual(
    tensors.map((view) => denseSpan(view)?.offsetBytes),
    [256, 512],
  );
});

test("a long header is read in pieces", async () => {
  const words = Array.from({ length: 200_000 }, (_, i) => `token ${i}`);
  const metadata: GgufEntry[] = [{ key: "tokens", type: "array", items: "string", value: words }];
  const { pieces } = layOutGguf([], metadata);
  const file = memoryFile(pieces[0]?.bytes as Buffer, PATH);
  assert.deepEqual((await readGguf(new HeaderReader(file, new Budget()))).metadata, metadata);
  assert.ok(file.reads > 2 && file.bytesRead < 2 * file.byteLength);
});

const integer = (min: number, max: number) => fc.integer({ min, max });

const anyValue = fc.oneof(
  fc.record({ type: fc.constant("u8"), value: integer(0, 255) }),
  fc.record({ type: fc.constant("i16"), value: integer(-32768, 32767) }),
  fc.record({ type: fc.constant("u32"), value: integer(0, 2 ** 32 - 1) }),
  fc.record({ type: fc.constant("f32"), value: fc.float({ noNaN: true }) }),
  fc.record({ type: fc.constant("f64"), value: fc.double({ noNaN: true }) }),
  fc.record({ type: fc.constant("u64"), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
  fc.record({ type: fc.constant("i64"), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }),
  fc.record({ type: fc.constant("bool"), value: fc.boolean() }),
  fc.record({ type: fc.constant("string"), value: fc.string({ unit: "grapheme" }) }),
  fc.record({ type: fc.constant("array"), items: fc.constant("string"), value: fc.array(fc.string()) }),
  fc.record({ type: fc.constant("array"), items: fc.constant("bool"), value: fc.array(fc.boolean()) }),
  fc.record({ type: fc.constant("array"), items: fc.constant("i32"), value: fc.array(integer(-9, 9)) }),
);

const anyEntries = fc.dictionary(fc.string({ minLength: 1 }), anyValue).map((values) =>
  Object.entries(values)
    .filter(([name]) => name !== "general.alignment")
    .map(([name, value]) => ({ key: name, ...value }) as GgufEntry),
);

const anyTensors = fc
  .array(
    fc.record({
      dtype: fc.constantFrom("F32", "F16", "BF16", "I8", ...BLOCK_DTYPES),
      outer: fc.array(integer(0, 3), { maxLength: 3 }),
      blocks: integer(1, 3),
    }),
    { maxLength: 6 },
  )
  .map((list) =>
    list.map(({ dtype, outer, blocks }, i) => ({
      ...{ name: `t${i}`, dtype },
      shape: [...outer, blocks * blockElements(dtype)],
    })),
  );

test("the reader gives back whatever the writer wrote", async () => {
  await fc.assert(
    fc.asyncProperty(anyEntries, anyTensors, async (metadata, tensors) => {
      const layout = layOutGguf(tensors, metadata);
      const bytes = Buffer.alloc(layout.byteLength, 0xaa);
      for (const piece of layout.pieces) bytes.set(piece.bytes, piece.offsetBytes);
      const read = await readGguf(headerOf(bytes));
      assert.deepEqual(read.metadata, metadata);
      assert.deepEqual(
        read.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
        tensors,
      );
      assert.deepEqual(
        read.tensors.map((view) => denseSpan(view)?.offsetBytes),
        layout.placed.map(({ offsetBytes }) => offsetBytes),
      );
      const covered = [...layout.pieces.map(({ bytes: { length } }) => length)];
      const data = layout.placed.map(({ byteLength }) => byteLength);
      const total = [...covered, ...data].reduce((sum, length) => sum + length, 0);
      assert.equal(total, layout.byteLength, "pieces and data are all of the file");
    }),
    { numRuns: 200, seed: 1 },
  );
});

test("the writer refuses what llama.cpp can't load", async () => {
  const shape = [32];
  for (const entry of [
    { name: "t", dtype: "U64", shape },
    { name: "n".repeat(64), dtype: "F32", shape },
    { name: "t", dtype: "F32", shape: [1, 1, 1, 1, 1] },
  ] as const) {
    await refusal(() => layOutGguf([entry], []), "not-a-state-dict", { tensor: entry.name });
  }
});
