/** What must hold of every tensor a reader gives, whatever the file. */
import assert from "node:assert/strict";
import { bitsOf, elementCount, MAX_RANK, type RandomAccessFile, type TensorView } from "../../src/tensor.js";

/** Every element lies inside its file, and every number can be counted with. */
export function checkViews(views: readonly TensorView<RandomAccessFile>[]): void {
  assert.equal(new Set(views.map(({ name }) => name)).size, views.length);
  for (const { name, dtype, shape, grid, pieces } of views) {
    assert.ok(shape.length <= MAX_RANK, name);
    const count = elementCount(shape);
    assert.ok(Number.isSafeInteger(count) && count === elementCount(grid), name);
    assert.equal(
      pieces.reduce((sum, { extents }) => sum + elementCount(extents), 0),
      count,
    );
    for (const { strides, offsetBytes, file, start, extents } of pieces) {
      assert.ok(
        grid.every((extent, dim) => (start[dim] ?? 0) + (extents[dim] ?? 0) <= extent),
        name,
      );
      assert.equal(grid.length, strides.length, name);
      for (const value of [...extents, ...start, offsetBytes])
        assert.ok(Number.isSafeInteger(value) && value >= 0, name);
      if (count === 0) continue;
      const span = extents.reduce((sum, extent, dim) => sum + (extent - 1) * (strides[dim] ?? Number.NaN), 1);
      assert.ok(offsetBytes + (span * bitsOf(dtype)) / 8 <= file.byteLength, name);
    }
  }
}
