/** The boxes that a range of elements is cut into. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { boxesOf } from "../../src/files/stretches.js";
import { denseStrides, elementCount } from "../../src/tensor.js";

test("boxes cover a range exactly, in order, whatever the shape", () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 5 });
  fc.assert(
    fc.property(shapes, fc.nat(), fc.nat(), (shape, a, b) => {
      const total = elementCount(shape);
      const [first = 0, end = 0] = [a % (total + 1), b % (total + 1)].sort((x, y) => x - y);
      const boxes = boxesOf(shape, first, end);
      const covered = boxes.flatMap((box) => positionsOf(shape, box));
      assert.deepEqual(
        covered,
        Array.from({ length: end - first }, (_, i) => first + i),
      );
      // Two boxes a dimension at most at either end: a range is never cut into crumbs.
      assert.ok(boxes.length <= Math.max(1, 2 * shape.length - 1));
    }),
    { numRuns: 1000 },
  );
});

/** The row-major positions a box covers, in its own row-major order. */
function positionsOf(shape: readonly number[], box: readonly { start: number; length: number }[]): number[] {
  assert.equal(box.length, shape.length);
  const strides = denseStrides(shape);
  return box.reduce<number[]>(
    (positions, { start, length }, dim) =>
      positions.flatMap((position) =>
        Array.from({ length }, (_, i) => position + (start + i) * (strides[dim] ?? 0)),
      ),
    [0],
  );
}

test("whole rows make one box", () => {
  assert.deepEqual(boxesOf([4, 3, 5], 15, 45), [
    [
      { start: 1, length: 2 },
      { start: 0, length: 3 },
      { start: 0, length: 5 },
    ],
  ]);
  assert.deepEqual(boxesOf([], 0, 1), [[]]);
  assert.deepEqual(boxesOf([5], 2, 2), []);
  assert.deepEqual(boxesOf([0, 5], 0, 0), []);
});
