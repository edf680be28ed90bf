/** Merges of tensors that PyTorch stored with strides of their own. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { denseStrides, elementCount, type FloatDType } from "../../src/tensor.js";
import { SEGMENT_BYTES } from "../../src/workers/segments.js";
import { assertTensor, repeated } from "../support/expected-sums.js";
import { fixturePath } from "../support/fixture-path.js";
import { mergeFiles as merge } from "../support/merge-files.js";
import { floats, safetensorsFile } from "../support/model-folder.js";
import { decodeNumbers, seededNormals } from "../support/numbers.js";
import { checkpointEntries, stateDict, storedZip, tensor as torchTensor } from "../support/torch-samples.js";

interface ExpectedFixture {
  readonly name: string;
  readonly dtype: FloatDType;
  readonly shape: readonly number[];
  readonly data: string;
}

const FIXTURES = JSON.parse(readFileSync(fixturePath("torch/expected.json"), "utf8")) as Record<
  string,
  ExpectedFixture[]
>;

for (const file of [
  "views.bin",
  "legacy-views.bin",
  "odd-shapes.bin",
  "legacy-storage-views.bin",
  "parameters.bin",
]) {
  test(`PyTorch's ${file}, strides and all, on either side`, async (context) => {
    const torch = (FIXTURES[file] ?? []).map(({ name, dtype, shape, data }) => ({
      name,
      dtype,
      shape,
      bytes: new Uint8Array(Buffer.from(data, "base64")),
    }));
    const normal = seededNormals(3);
    const other = torch.map(({ name, shape }) =>
      floats(
        name,
        "F16",
        shape,
        Array.from({ length: elementCount(shape) }, () => normal()),
      ),
    );
    const bytes = readFileSync(fixturePath(`torch/${file}`));
    const plain = safetensorsFile(other);
    for (const [sides, isDelta] of [
      [{ base: plain, delta: bytes }, true],
      [{ base: bytes, delta: plain }, false],
    ] as const) {
      const { tensors } = await merge(context, sides);
      for (const [i, tensor] of torch.entries()) {
        const [mine, theirs] = [tensor, other[i] ?? null];
        const sum = isDelta ? { base: theirs, delta: mine } : { base: mine, delta: theirs };
        assertTensor(tensors.get(tensor.name), sum, `${tensor.name} of ${isDelta ? "delta" : "base"}`);
      }
    }
  });
}

test("a transposed tensor of several segments", async (context) => {
  const [rows, columns] = [821, 1643];
  const stored = repeated("w", "F16", [columns, rows], 0.02, 11);
  const node = torchTensor({ numel: rows * columns, shape: [rows, columns], strides: [1, rows] });
  const torch = storedZip(checkpointEntries(stateDict({ w: node }), { "0": Buffer.from(stored.bytes) }));
  const numbers = decodeNumbers("F16", stored.bytes);
  const transposed = Float64Array.from(
    { length: rows * columns },
    (_, i) => numbers[(i % columns) * rows + Math.floor(i / columns)] ?? Number.NaN,
  );
  const base = floats("w", "F16", [rows, columns], transposed);
  const delta = repeated("w", "F32", [rows, columns], 1e-3, 13);
  assert.deepEqual(denseStrides([columns, rows]), [rows, 1]);
  assert.ok(delta.bytes.length > 2 * SEGMENT_BYTES, "several segments");
  const { tensors } = await merge(context, { base: torch, delta: safetensorsFile([delta]) }, { threads: 3 });
  assertTensor(tensors.get("w"), { base, delta }, "w");
});
