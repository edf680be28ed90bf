/** How a plan is cut: where segments begin, and what is read for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { stretchesOf } from "../../src/files/stretches.js";
import { reorderRows } from "../../src/llama/row-order.js";
import type { MergePlan } from "../../src/merge/merge-plan.js";
import { inputsOf, mergeTasks } from "../../src/merge/merge-tasks.js";
import { onePiece, type TensorView } from "../../src/tensor.js";
import { segmentRange, segmentsOf } from "../../src/workers/segments.js";

const HEAD_ROWS = 128;
const HEADER_BYTES = 2600;

function viewOf(path: string, width: number): TensorView {
  const file = { path, fd: 0 } as never;
  return onePiece({ name: "q", dtype: "F16", shape: [2 * HEAD_ROWS, width], file, offsetBytes: 0 });
}

/** The one task of a tensor whose base has its rows in Meta's order. */
function taskOf(width: number) {
  const base = reorderRows(viewOf("base", width), HEAD_ROWS, "meta");
  const delta = viewOf("delta", width);
  const tensor = { name: "q", dtype: "F16", sumDType: "F16", shape: delta.shape, base, delta };
  const shards = [{ placed: [{ tensor, offsetBytes: HEADER_BYTES }] }];
  const plan = { operation: "add", scale: 1, tensors: [tensor], shards } as unknown as MergePlan;
  const [task, ...others] = mergeTasks(plan, new Map(), () => false);
  assert.ok(task !== undefined && others.length === 0);
  return task;
}

for (const [size, width] of Object.entries({ "7B": 4096, "13B": 5120, "33B": 6656, "65B": 8192, tiny: 64 })) {
  test(`${size}: segments begin where pages do, and no head is read twice`, () => {
    const task = taskOf(width);
    const read = [0, 0];
    for (let number = 0; number < segmentsOf(task); number++) {
      const { first, count } = segmentRange(task, number);
      if (number > 0) assert.equal((HEADER_BYTES + 2 * first) % 4096, 0);
      for (const [side, { view }] of inputsOf(task).entries())
        for (const { byteLength } of stretchesOf(view, first, count))
          read[side] = (read[side] ?? 0) + byteLength;
    }
    const bytes = 2 * task.elementCount;
    assert.equal(read[0], bytes, "the delta");
    assert.ok(
      (read[1] ?? 0) >= bytes && (read[1] ?? 0) <= bytes + 3 * 4096,
      `the base: ${read[1]} of ${bytes}`,
    );
  });
}
