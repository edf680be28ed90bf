/** Safetensors headers made at random or damaged, read here and by another reader. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import fc from "fast-check";
import { ApplyDeltaError } from "../../src/errors.js";
import { layOutSafetensors } from "../../src/formats/safetensors/writer.js";
import { bitsOf, DTYPES, elementCount, onePiece } from "../../src/tensor.js";
import { anyCharacter } from "../support/any-character.js";
import { fixtureFile, memoryFile } from "../support/memory-file.js";
import { safetensorsOf } from "../support/model-folder.js";
import { readSafetensors } from "../support/readers.js";
import { refusal } from "../support/refusal.js";

const PATH = "folder/model.safetensors";

/** Lists of tensors with names of any characters, every dtype, few elements. */
const anyTensors = fc.uniqueArray(
  fc
    .record({
      name: fc.oneof(
        fc.string({ unit: anyCharacter, maxLength: 12 }),
        fc.constantFrom("__proto__", "0", "10", "constructor"),
      ),
      dtype: fc.constantFrom(...DTYPES),
      shape: fc.array(fc.nat(4), { maxLength: 4 }),
    })
    .filter(
      ({ name, dtype, shape }) => name !== "__metadata__" && (elementCount(shape) * bitsOf(dtype)) % 8 === 0,
    ),
  { selector: ({ name }) => name, maxLength: 12 },
);

test("whatever is encoded reads back the same", async () => {
  await fc.assert(
    fc.asyncProperty(anyTensors, async (tensors) => {
      const { pieces, placed, byteLength: fileByteLength } = layOutSafetensors(tensors);
      const bytes = pieces[0]?.bytes ?? Buffer.alloc(0);
      const source = memoryFile(Buffer.concat([bytes, Buffer.alloc(fileByteLength - bytes.length)]));
      const views = await readSafetensors(source);
      const expected = placed.map(({ tensor: { name, dtype, shape }, offsetBytes }) =>
        onePiece({ name, dtype, shape, file: source, offsetBytes }),
      );
      assert.deepEqual(views.sort(byName), expected.sort(byName));
      assert.equal(views.length, tensors.length);
    }),
  );
});

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

interface IndependentReader {
  metadata: Map<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  getTensor(name: string): Uint8Array;
}
const { SafeTensor } = createRequire(import.meta.url)("safetensors") as {
  SafeTensor: new (bytes: Uint8Array) => IndependentReader;
};

/** Both readers see the same tensors with the same bytes. The other one can't read files with `__metadata__`. */
async function compareReaders(bytes: Buffer): Promise<void> {
  const other = new SafeTensor(new Uint8Array(bytes));
  const theirs = [...other.metadata].map(([name, { dtype, shape }]) => ({
    name,
    dtype,
    shape,
    data: Buffer.from(other.getTensor(name)).toString("hex"),
  }));
  const views = await readSafetensors(memoryFile(bytes));
  const ours = views.map(({ name, dtype, shape, pieces: [{ offsetBytes }] }) => {
    const end = offsetBytes + (elementCount(shape) * bitsOf(dtype)) / 8;
    return { name, dtype, shape, data: bytes.toString("hex", offsetBytes, end) };
  });
  assert.deepEqual(ours.sort(byName), theirs.sort(byName));
}

test("the npm package `safetensors` reads the same from the reference library's files", async () => {
  for (const name of ["without-metadata", "empty"]) {
    await compareReaders(fixtureFile(`safetensors/${name}.safetensors`).bytes);
  }
});

test("the npm package `safetensors` reads the same from any file", async () => {
  await fc.assert(
    fc.asyncProperty(anyTensors, fc.infiniteStream(fc.nat(255)), async (tensors, random) => {
      let end = 0;
      const entries = tensors.map(({ name, dtype, shape }) => {
        const begin = end;
        end += (elementCount(shape) * bitsOf(dtype)) / 8;
        const value = JSON.stringify({ dtype, shape, data_offsets: [begin, end] });
        return `${JSON.stringify(name)}:${value}`;
      });
      await compareReaders(safetensorsOf(`{${entries.join(",")}}`, Buffer.from([...random.take(end)])));
    }),
  );
});

test("a damaged file is refused or reads as a whole one, never anything else", async () => {
  const good = fixtureFile("safetensors/mixed.safetensors").bytes;
  const headerEnd = 8 + Number(good.readBigUInt64LE(0));
  await fc.assert(
    fc.asyncProperty(fc.nat(headerEnd - 1), fc.nat(255), fc.nat(20), async (at, byte, cut) => {
      const bytes = Buffer.from(good.subarray(0, good.length - cut));
      bytes[at] = byte;
      try {
        const views = await readSafetensors(memoryFile(bytes));
        const total = views.reduce(
          (sum, { dtype, shape }) => sum + (elementCount(shape) * bitsOf(dtype)) / 8,
          0,
        );
        const dataStart = 8 + Number(bytes.readBigUInt64LE(0));
        assert.equal(dataStart + total, bytes.length);
      } catch (error) {
        assert.ok(error instanceof ApplyDeltaError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test("a file cut anywhere is refused", async () => {
  const good = fixtureFile("safetensors/mixed.safetensors").bytes;
  for (let length = 0; length < good.length; length++) {
    const cut = memoryFile(good.subarray(0, length), PATH);
    await refusal(() => readSafetensors(cut), "truncated-file", { file: PATH });
  }
});
