/**
 * Rows that only the delta has, added to the mean of the base's; and deltas applied in part. Compared with sums made
 * in double arithmetic, bit for bit.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ApplyDeltaOptions } from "../../src/apply/apply-delta.js";
import type { SumDType } from "../../src/tensor.js";
import { SEGMENT_BYTES } from "../../src/workers/segments.js";
import { mergeFiles } from "../support/merge-files.js";
import { floats, safetensorsFile, type Tensor } from "../support/model-folder.js";
import { decodeNumbers, encodeNumbers, roundTo, seededNormals } from "../support/numbers.js";

const EMBED = "model.embed_tokens.weight";
/** Not a divisor of a block of `meanRow`, so that blocks begin and end inside rows. */
const WIDTH = 48_000;
const ROWS = 5;
/** So many that segments begin and end inside repeated rows. */
const NEW_ROWS = 12;

async function mergeTensor(
  context: TestContext,
  base: Tensor,
  delta: Tensor,
  options: Partial<ApplyDeltaOptions>,
): Promise<Tensor> {
  const sides = { base: safetensorsFile([base]), delta: safetensorsFile([delta]) };
  const tensor = (await mergeFiles(context, sides, options)).tensors.get(EMBED);
  assert.ok(tensor);
  return tensor;
}

function random(dtype: SumDType, rows: number, seed: number, deviation: number, width = WIDTH): Tensor {
  const normal = seededNormals(seed);
  const values = Array.from({ length: rows * width }, () => roundTo(dtype, normal() * deviation));
  return floats(EMBED, dtype, [rows, width], values);
}

for (const dtype of ["F16", "BF16", "F32"] as const) {
  test(`${dtype}: new rows are added to the mean of the base's rows`, async (context) => {
    const base = random(dtype, ROWS, 1, 0.02);
    const delta = random(dtype, ROWS + NEW_ROWS, 2, 0.001);
    const target = await mergeTensor(context, base, delta, { rules: { newRows: "mean" }, threads: 3 });
    assert.ok(NEW_ROWS * WIDTH * 2 > SEGMENT_BYTES, "several segments");
    assert.deepEqual(target.shape, [ROWS + NEW_ROWS, WIDTH]);
    const [b, d] = [decodeNumbers(dtype, base.bytes), decodeNumbers(dtype, delta.bytes)];
    const mean = Array.from({ length: WIDTH }, (_, column) => {
      let sum = 0;
      for (let row = 0; row < ROWS; row++) sum += b[row * WIDTH + column] as number;
      return roundTo(dtype, roundTo("F32", sum / ROWS));
    });
    const expected = Array.from(d, (value, i) =>
      roundTo(dtype, value + ((b[i] ?? mean[i % WIDTH]) as number)),
    );
    assert.ok(Buffer.from(target.bytes).equals(encodeNumbers(dtype, expected)));
  });

  for (const scale of [0.5, -1, 0.3, 1e-9]) {
    test(`${dtype}: the delta times ${scale}, multiplied in float32 and rounded before it is added`, async (context) => {
      const base = random(dtype, ROWS, 3, 0.02, 1000);
      const delta = random(dtype, ROWS + 1, 4, 0.001, 1000);
      const target = await mergeTensor(context, base, delta, { scale });
      const [b, d] = [decodeNumbers(dtype, base.bytes), decodeNumbers(dtype, delta.bytes)];
      const factor = Math.fround(scale);
      const expected = Array.from(d, (value, i) => {
        const scaled = roundTo(dtype, Math.fround(value * factor));
        return roundTo(dtype, (b[i] ?? 0) + scaled);
      });
      assert.ok(Buffer.from(target.bytes).equals(encodeNumbers(dtype, expected)));
    });
  }
}

test("a base in another dtype is rounded before its mean is taken", async (context) => {
  const base = random("F32", ROWS, 5, 0.02);
  const delta = random("F16", ROWS + 1, 6, 0.001);
  const target = await mergeTensor(context, base, delta, { rules: { newRows: "mean" } });
  const b = Array.from(decodeNumbers("F32", base.bytes), (value) => roundTo("F16", value));
  const d = decodeNumbers("F16", delta.bytes);
  const expected = Array.from({ length: WIDTH }, (_, column) => {
    let sum = 0;
    for (let row = 0; row < ROWS; row++) sum += b[row * WIDTH + column] as number;
    const mean = roundTo("F16", roundTo("F32", sum / ROWS));
    return roundTo("F16", (d[ROWS * WIDTH + column] as number) + mean);
  });
  const lastRow = Buffer.from(target.bytes).subarray(ROWS * WIDTH * 2);
  assert.ok(lastRow.equals(encodeNumbers("F16", expected)));
});

test("a tensor that only the delta has is a value, no difference, and isn't scaled", async (context) => {
  const delta = floats("model.mm_projector.bias", "F16", [3], [1, 2, 3]);
  const sides = {
    base: safetensorsFile([floats("w", "F16", [1], [1])]),
    delta: safetensorsFile([floats("w", "F16", [1], [2]), delta]),
  };
  const { tensors } = await mergeFiles(context, sides, { scale: 0.5 });
  assert.deepEqual(
    [...decodeNumbers("F16", tensors.get("model.mm_projector.bias")?.bytes ?? new Uint8Array())],
    [1, 2, 3],
  );
  assert.deepEqual([...decodeNumbers("F16", tensors.get("w")?.bytes ?? new Uint8Array())], [2]);
});
