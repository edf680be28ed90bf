/** Every kernel against PyTorch's own results (fixtures/kernel/make_golden.py). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { bytesOf, type FloatDType, type SumDType } from "../../src/tensor.js";
import {
  assertSameBits,
  type Bits,
  bytesOfBits,
  combineBits,
  convertAll,
  emptyBits,
  KERNELS,
  OPERATIONS,
  SUM_DTYPES,
} from "./kernels-under-test.js";

/** Splits a golden file into its arrays, of one length and the given dtypes. */
function readGolden(name: string, dtypes: readonly FloatDType[]): Bits[] {
  const file = readFileSync(new URL(`../../../test/fixtures/kernel/${name}`, import.meta.url));
  const count = file.length / dtypes.reduce((size, dtype) => size + bytesOf(dtype), 0);
  assert.ok(Number.isInteger(count) && count > 5000);
  let offset = 0;
  return dtypes.map((dtype) => {
    const bits = emptyBits(dtype, count);
    bytesOfBits(bits).set(file.subarray(offset, offset + bits.byteLength));
    offset += bits.byteLength;
    return bits;
  });
}

/** The golden files hold canonical NaN only; so a widened one, which keeps its payload, is made canonical first. */
function withCanonicalNan(dtype: SumDType, bits: Bits): Bits {
  if (dtype !== "F32") return bits;
  return Uint32Array.from(bits as Uint32Array, (b) => ((b & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : b));
}

for (const kernel of KERNELS) {
  describe(`${kernel.name} gives PyTorch's bits`, () => {
    for (const operation of OPERATIONS) {
      for (const dtype of SUM_DTYPES) {
        test(`${operation} in ${dtype}`, () => {
          const golden = readGolden(`${operation}-${dtype}.bin`, [dtype, dtype, dtype]);
          const [first, second, result] = golden as [Bits, Bits, Bits];
          assertSameBits(combineBits(kernel, operation, dtype, first, second), result, first, second);
        });
      }
    }
    for (const from of ["F16", "BF16", "F32", "F64"] as const) {
      const targets = SUM_DTYPES.filter((dtype) => dtype !== from);
      test(`${from} to ${targets.join(" and ")}`, () => {
        const [source, ...results] = readGolden(`convert-${from}.bin`, [from, ...targets]) as [
          Bits,
          ...Bits[],
        ];
        for (const [index, to] of targets.entries()) {
          const converted = withCanonicalNan(to, convertAll(kernel, from, to, source));
          assertSameBits(converted, results[index] as Bits, source);
        }
      });
    }
  });
}
