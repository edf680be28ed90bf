/** What must hold of every tensor a reader gives, whatever the file. */
import assert from "node:assert/strict";
import { bitsOf, elementCount, MAX_RANK, type TensorView } from "../../src/tensor.js";
import type { MemoryFile } from "../support/memory-file.js";

/** Every element lies inside the file, and every number can be counted with. */
export function checkViews(views: readonly TensorView<MemoryFile>[]): void {
  assert.equal(new Set(views.map(({ name }) => name)).size, views.length);
  for (const { name, dtype, shape, pieces } of views) {
    const [{ strides, offsetBytes, file }] = pieces;
    assert.equal(shape.length, strides.length, name);
    assert.ok(shape.length <= MAX_RANK, name);
    for (const value of [...shape, offsetBytes]) assert.ok(Number.isSafeInteger(value) && value >= 0, name);
    const count = elementCount(shape);
    assert.ok(Number.isSafeInteger(count), name);
    if (count === 0) continue;
    const span = shape.reduce((sum, extent, dim) => sum + (extent - 1) * (strides[dim] ?? Number.NaN), 1);
    assert.ok(offsetBytes + (span * bitsOf(dtype)) / 8 <= file.byteLength, name);
  }
}
