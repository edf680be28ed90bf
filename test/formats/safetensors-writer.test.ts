/** The safetensors writer: whole files of the reference library, byte for byte. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { layOutSafetensors } from "../../src/formats/safetensors/writer.js";
import { bitsOf, DTYPES, elementCount } from "../../src/tensor.js";
import { fixturePath } from "../support/fixture-path.js";
import { refusal } from "../support/refusal.js";
import { type ExpectedTensor, expectedFiles } from "../support/safetensors-fixtures.js";

/** The file that header and data make. */
function wholeFile(tensors: readonly ExpectedTensor[]): Buffer {
  const { pieces, placed, byteLength: fileByteLength } = layOutSafetensors(tensors);
  const file = Buffer.alloc(fileByteLength);
  for (const { offsetBytes, bytes } of pieces) file.set(bytes, offsetBytes);
  for (const { tensor: entry, offsetBytes, byteLength } of placed) {
    assert.equal(Buffer.from(entry.data, "base64").copy(file, offsetBytes), byteLength);
  }
  return file;
}

const written = expectedFiles().filter(({ metadataIsPt }) => metadataIsPt);

for (const { fileName, tensors } of written) {
  test(`${fileName}, whatever order its tensors are given in`, () => {
    const expected = readFileSync(fixturePath(`safetensors/${fileName}`));
    const orders = fc.shuffledSubarray([...tensors], { minLength: tensors.length });
    fc.assert(
      fc.property(orders, (order) =>
        assert.equal(wholeFile(order).toString("latin1"), expected.toString("latin1")),
      ),
      { numRuns: 20 },
    );
  });
}

test("the fixtures have every dtype, every length of padding, and names in which orders differ", () => {
  const all = written.flatMap(({ tensors }) => tensors);
  const dtypes = new Set(all.map(({ dtype }) => dtype));
  // The reference library's Python side can't write six-bit floats.
  assert.deepEqual(
    DTYPES.filter((dtype) => !dtypes.has(dtype)),
    ["F6_E2M3", "F6_E3M2"],
  );
  const paddings = written.map(({ fileName }) => {
    const text = readFileSync(fixturePath(`safetensors/${fileName}`));
    const header = text.toString("utf8", 8, 8 + Number(text.readBigUInt64LE(0)));
    return header.length - header.trimEnd().length;
  });
  assert.equal(new Set(paddings).size, 8);
  // By UTF-16 units the emoji, a surrogate pair, would come before U+FF5E.
  const names =
    written.find(({ fileName }) => fileName === "names.safetensors")?.tensors.map(({ name }) => name) ?? [];
  assert.ok(names.indexOf("\u{1f999}") > names.indexOf("\uff5e"));
  assert.ok("\u{1f999}" < "\uff5e");
});

test("what is placed tiles the file from the header's end on", () => {
  const entries = fc.uniqueArray(
    fc.record({
      name: fc.string({ maxLength: 30 }),
      dtype: fc.constantFrom("F16" as const, "BF16" as const, "F32" as const),
      shape: fc.array(fc.nat(70_000), { maxLength: 3 }),
    }),
    { selector: ({ name }) => name },
  );
  fc.assert(
    fc.property(entries, (tensors) => {
      const { pieces, placed, byteLength: fileByteLength } = layOutSafetensors(tensors);
      const bytes = pieces[0]?.bytes ?? Buffer.alloc(0);
      assert.equal(bytes.length % 8, 0);
      let end = bytes.length;
      for (const { tensor: entry, offsetBytes, byteLength } of placed) {
        assert.equal(offsetBytes, end);
        assert.equal(byteLength, (elementCount(entry.shape) * bitsOf(entry.dtype)) / 8);
        end += byteLength;
      }
      assert.equal(fileByteLength, end);
      assert.deepEqual(new Set(placed.map(({ tensor }) => tensor)), new Set(tensors));
    }),
  );
});

test("the one name that a tensor can't have", async () => {
  const entries = [{ name: "__metadata__", dtype: "F16", shape: [1] }] as const;
  await refusal(() => layOutSafetensors(entries), "not-a-state-dict", { tensor: "__metadata__" });
});

test("a header longer than the format allows is refused, not written", async () => {
  const name = "n".repeat(50_000_000);
  const entries = ["a", "b"].map((end) => ({ name: name + end, dtype: "F16" as const, shape: [1] }));
  await refusal(() => layOutSafetensors(entries), "header-too-long", { got: /bytes/ });
});

test("an empty tensor has no elements, however large its other extents", () => {
  assert.equal(elementCount([...Array<number>(30).fill(2 ** 53 - 1), 0]), 0);
});
