/** Tensors of one side alone that hold no numbers to add to: their bytes are copied, whatever they are. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ApplyDeltaOptions, applyDelta } from "../../src/apply/apply-delta.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { verifyTarget } from "../../src/verify/verify-target.js";
import { SEGMENT_BYTES } from "../../src/workers/segments.js";
import {
  readSafetensorsFile,
  type Tensor,
  temporaryFolder,
  tinyPair,
  writeModel,
} from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const PAIR = tinyPair();

/** A tensor of every byte, all of which are no floats. */
function bytesOf(name: string, dtype: string, shape: readonly number[], elementBytes: number): Tensor {
  const length = shape.reduce((product, extent) => product * extent, elementBytes);
  return { name, dtype, shape, bytes: Uint8Array.from({ length }, (_, i) => (i * 31 + 255) % 256) };
}

const INTEGERS = [
  bytesOf("step", "I64", [], 8),
  bytesOf("mask", "BOOL", [3, 5], 1),
  bytesOf("large", "U8", [SEGMENT_BYTES + 333], 1),
  bytesOf("ids", "I32", [7], 4),
  bytesOf("none", "I16", [0, 3], 2),
];
const EIGHT_BITS = [bytesOf("scaled", "F8_E4M3", [3, 3], 1), bytesOf("wide", "U64", [2], 8)];

async function merge(
  context: TestContext,
  extra: readonly Tensor[],
  options: Partial<ApplyDeltaOptions> = {},
): Promise<{ base: string; delta: string; target: string }> {
  const root = temporaryFolder(context);
  const sides = {
    base: writeModel(join(root, "base"), PAIR.base),
    delta: writeModel(join(root, "delta"), [...PAIR.delta, ...extra]),
    target: join(root, "target"),
  };
  await applyDelta({ ...sides, rules: { deltaOnly: "keep" }, ...options });
  return sides;
}

for (const kernel of ["simd", "reference"] as const) {
  test(`safetensors: the very bytes, ${kernel}`, async (context) => {
    const extra = [...INTEGERS, ...EIGHT_BITS];
    const { base, delta, target } = await merge(context, extra, { kernel, dtype: "BF16", scale: 0.5 });
    const tensors = new Map(
      readSafetensorsFile(join(target, "model.safetensors")).map((tensor) => [tensor.name, tensor]),
    );
    for (const { name, dtype, shape, bytes } of extra) {
      const got = tensors.get(name);
      assert.deepEqual([got?.dtype, got?.shape], [dtype, shape], name);
      assert.ok(Buffer.from(bytes).equals(got?.bytes ?? Buffer.alloc(0)), name);
    }
    const { checks } = await verifyTarget({ target, sources: { base, delta } });
    assert.equal(checks.find(({ name }) => name === "sum")?.status, "ok");
  });
}

test("bin: the very bytes, where PyTorch has a storage for them", async (context) => {
  const { target } = await merge(context, INTEGERS, { format: "bin" });
  const checkpoint = await openCheckpoint(target);
  context.after(() => checkpoint.close());
  for (const { name, dtype, shape, bytes } of INTEGERS) {
    const view = checkpoint.tensors.find((tensor) => tensor.name === name);
    assert.deepEqual([view?.dtype, view?.shape], [dtype, shape], name);
    if (view === undefined || bytes.length === 0) continue;
    const { file, offsetBytes } = view.pieces[0];
    assert.ok(Buffer.from(await file.read(offsetBytes, bytes.length)).equals(bytes), name);
  }
  await refusal(() => merge(context, EIGHT_BITS, { format: "bin" }), "unsupported-dtype", {
    tensor: "scaled",
    hint: /safetensors/,
  });
});
