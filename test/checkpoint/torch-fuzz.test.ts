/**
 * Files cut at every byte and files with changed bytes: whatever is read, the outcome is a typed error or tensors
 * that lie inside the file.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readTorchLegacy } from "../../src/checkpoint/torch-legacy.js";
import { readTorchZip } from "../../src/checkpoint/torch-zip.js";
import { isApplyDeltaError } from "../../src/errors.js";
import { bitsOf, elementCount } from "../../src/tensor.js";
import { fixtureFile, type MemoryFile, memoryFile } from "../support/memory-file.js";

const SEED = 0x5eed;
const CASES_PER_FILE = 1500;

const FILES = [
  { name: "torch/views.bin", read: readTorchZip<MemoryFile> },
  { name: "torch/views-protocol-4.bin", read: readTorchZip<MemoryFile> },
  { name: "torch/module.bin", read: readTorchZip<MemoryFile> },
  { name: "torch/newer-records.bin", read: readTorchZip<MemoryFile> },
  { name: "torch/wrapped-state-dict.pt", read: readTorchZip<MemoryFile> },
  { name: "torch/legacy-views.bin", read: readTorchLegacy<MemoryFile> },
  { name: "torch/legacy-protocol-4.bin", read: readTorchLegacy<MemoryFile> },
  { name: "torch/legacy-storage-views.bin", read: readTorchLegacy<MemoryFile> },
];

/** xorshift32. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** The error code, or "tensors" after a look at where they lie. */
async function outcome(
  file: MemoryFile,
  read: (file: MemoryFile) => ReturnType<typeof readTorchZip<MemoryFile>>,
) {
  try {
    for (const { name, dtype, shape, strides, offsetBytes } of await read(file)) {
      assert.equal(shape.length, strides.length, name);
      for (const value of [...shape, ...strides, offsetBytes])
        assert.ok(Number.isSafeInteger(value) && value >= 0, name);
      const span = shape.reduce((sum, extent, dim) => sum + (extent - 1) * (strides[dim] ?? 0), 1);
      const bytes = elementCount(shape) === 0 ? 0 : span * (bitsOf(dtype) / 8);
      assert.ok(offsetBytes + bytes <= file.byteLength, name);
    }
    return "tensors";
  } catch (error) {
    if (!isApplyDeltaError(error)) throw error;
    assert.equal(error.details.file, file.path);
    return error.code;
  }
}

for (const { name, read } of FILES) {
  test(`${name} cut at every byte`, async () => {
    const { bytes } = fixtureFile(name);
    for (let length = 0; length < bytes.length; length++) {
      assert.notEqual(
        await outcome(memoryFile(bytes.subarray(0, length)), read),
        "tensors",
        `cut at ${length}`,
      );
    }
  });

  test(`${name} with changed bytes, seed ${SEED}`, async () => {
    const { bytes } = fixtureFile(name);
    const random = randomFrom(SEED);
    const seen = new Map<string, number>();
    for (let round = 0; round < CASES_PER_FILE; round++) {
      const changed = Buffer.from(bytes);
      for (let change = random(3); change >= 0; change--) changed[random(changed.length)] = random(256);
      const code = await outcome(memoryFile(changed), read).catch((error: unknown) => {
        throw new Error(`round ${round}`, { cause: error });
      });
      seen.set(code, (seen.get(code) ?? 0) + 1);
    }
    assert.ok(seen.size > 3, JSON.stringify([...seen]));
  });
}
