/** The scan for NaN and infinity, and the comparison, on every dtype and on any strides. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { openLocalFile } from "../../src/files/local-file.js";
import { compileKernel } from "../../src/kernel/select.js";
import { bytesOf, denseStrides, type FloatDType, onePiece, type TensorView } from "../../src/tensor.js";
import { countNotFinite } from "../../src/verify/count-not-finite.js";
import { verifyWeights } from "../../src/verify/verify-weights.js";
import { SEGMENT_BYTES } from "../../src/workers/segments.js";
import { temporaryFolder } from "../support/model-folder.js";
import { encodeNumbers } from "../support/numbers.js";

const DTYPES: readonly FloatDType[] = ["F16", "BF16", "F32", "F64"];

/** NaN of either sign, quiet and signalling, and what is nearly one. */
const BITS: Record<FloatDType, { nan: bigint[]; infinite: bigint[]; finite: bigint[] }> = {
  F16: {
    nan: [0x7e00n, 0xfc01n, 0x7fffn],
    infinite: [0x7c00n, 0xfc00n],
    finite: [0x7bffn, 0xfbffn, 0x03ffn],
  },
  BF16: { nan: [0x7fc0n, 0xff81n], infinite: [0x7f80n, 0xff80n], finite: [0x7f7fn, 0xff7fn, 0x8000n] },
  F32: {
    nan: [0x7fc00000n, 0xff800001n],
    infinite: [0x7f800000n, 0xff800000n],
    finite: [0x7f7fffffn, 0xffffn],
  },
  F64: {
    nan: [0x7ff8000000000000n, 0xfff0000000000001n],
    infinite: [0x7ff0000000000000n],
    finite: [0x7fefffffffffffffn, 0x7fffffffn],
  },
};

for (const dtype of DTYPES) {
  test(`${dtype}: every kind of bits, at every place of a block`, () => {
    const size = bytesOf(dtype);
    const { nan, infinite, finite } = BITS[dtype];
    for (const shift of [0, 8, 24]) {
      for (let count = 1; count <= 9; count++) {
        for (let place = 0; place < count; place++) {
          for (const [kind, all] of Object.entries({ nan, infinite, finite })) {
            for (const bits of all) {
              const memory = new Uint8Array(128).fill(0xff);
              memory.fill(0x11, shift, shift + count * size);
              const word = Buffer.alloc(8);
              word.writeBigUInt64LE(bits);
              memory.set(word.subarray(0, size), shift + place * size);
              const expected = { nan: 0, infinite: 0, ...(kind === "finite" ? {} : { [kind]: 1 }) };
              assert.deepEqual(
                countNotFinite(memory, dtype, shift, count),
                expected,
                `${bits.toString(16)} at ${place} of ${count}`,
              );
            }
          }
        }
      }
    }
  });
}

/** A view of encoded numbers in a file, `lead` bytes from its start. */
function viewOf(
  context: TestContext,
  dtype: FloatDType,
  bytes: Uint8Array,
  {
    lead = 0,
    shape = [bytes.length / bytesOf(dtype)],
    strides = denseStrides(shape),
  }: { lead?: number; shape?: readonly number[]; strides?: readonly number[] } = {},
): TensorView {
  const path = join(temporaryFolder(context), "numbers.bin");
  writeFileSync(path, Buffer.concat([Buffer.alloc(lead, 0xff), bytes]));
  const file = openLocalFile(path);
  context.after(() => file.close());
  return onePiece({ name: "tensor", dtype, shape, strides, file, offsetBytes: lead });
}

async function scan(...tensors: TensorView[]) {
  const kernel = await compileKernel("auto");
  let last: [number, number] = [-1, -1];
  const found = await verifyWeights({
    tensors,
    plan: null,
    kernel,
    threads: 0,
    signal: undefined,
    onProgress: (done, total) => {
      last = [done, total];
    },
  });
  assert.equal(last[0], last[1]);
  return found.map(({ nan, infinite, different, isCompared }) => [nan, infinite, different, isCompared]);
}

describe("verifyWeights", () => {
  for (const dtype of DTYPES) {
    test(`${dtype}: a segment and a bit, from any byte on`, async (context) => {
      const numbers = new Float64Array(SEGMENT_BYTES / bytesOf(dtype) + 5000).fill(1.5);
      for (const at of [0, 4999, numbers.length - 1]) numbers[at] = Number.NaN;
      numbers[numbers.length - 2] = Number.NEGATIVE_INFINITY;
      const bytes = encodeNumbers(dtype, numbers);
      // A header's 2 or 9 bytes put elements across what the machine reads at once.
      const leads = [0, 2, 8, 9, 4096];
      assert.deepEqual(
        await scan(...leads.map((lead) => viewOf(context, dtype, bytes, { lead }))),
        leads.map(() => [3, 1, 0, false]),
      );
    });

    test(`${dtype}, transposed and with gaps`, async (context) => {
      const numbers = new Float64Array(600).fill(-2);
      numbers[0] = Number.NaN;
      numbers[31] = Number.POSITIVE_INFINITY;
      numbers[30] = Number.NaN; // Between the rows: no element of the view.
      const bytes = encodeNumbers(dtype, numbers);
      const view = (shape: number[], strides: number[]) => viewOf(context, dtype, bytes, { shape, strides });
      const views = [view([30, 20], [1, 30]), view([20, 10], [30, 3]), view([19, 10], [31, 3])];
      assert.deepEqual(await scan(...views), [
        [2, 1, 0, false],
        [2, 0, 0, false],
        [1, 1, 0, false],
      ]);
    });
  }

  test("an empty tensor and one of no float", async (context) => {
    const empty = viewOf(context, "F16", new Uint8Array(2), { shape: [0, 3] });
    assert.deepEqual(await scan(empty), [[0, 0, 0, false]]);
    assert.deepEqual(await scan({ ...empty, dtype: "I64" }), []);
  });
});
