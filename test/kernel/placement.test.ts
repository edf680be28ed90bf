/** Where operands lie: any length, any alignment, in place, and not a byte beside the destination. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Kernel, Operation } from "../../src/kernel/kernel.js";
import { bytesOf, type FloatDType, type SumDType } from "../../src/tensor.js";
import {
  type Bits,
  bytesOfBits,
  CONVERSIONS,
  KERNELS,
  mapBits,
  OPERATIONS,
  SUM_DTYPES,
} from "./kernels-under-test.js";
import { convertBits, ORACLE } from "./oracle.js";
import { anyNumbers, smallNumbers } from "./samples.js";

const MOST = 67;
/** What memory holds before each run. */
const FILL = 0xa5;
/** Room for MOST elements of 8 bytes at any of the shifts. */
const REGION = 1024;
const END = 4 * REGION;

/** Small numbers but for an infinity at `at`: the one block that needs the exact way is anywhere. */
function withInfinityAt(dtype: FloatDType, at: number): Bits {
  const infinity = { F16: 0x7c00, BF16: 0x7f80, F32: 0x7f800000, F64: 0x7ff0000000000000n }[dtype];
  return mapBits(dtype, smallNumbers(dtype, MOST, 3), (bits, index) => (index === at ? infinity : bits));
}

function results(operation: Operation, dtype: SumDType, first: Bits, second: Bits): Bits {
  return mapBits(dtype, first, (bits, index) =>
    ORACLE[operation](dtype, Number(bits), Number(second[index])),
  );
}

function conversions(from: FloatDType, to: SumDType, source: Bits): Bits {
  return mapBits(to, source, (bits) => convertBits(from, to, bits));
}

/** Runs `operation` and compares all of memory with what the given pieces, laid over the fill in order, make. */
function checkMemory(
  kernel: Kernel,
  pieces: readonly (readonly [offset: number, bits: Bits])[],
  result: readonly [offset: number, bits: Bits],
  operation: () => void,
): void {
  const memory = kernel.memory.subarray(0, END).fill(FILL);
  for (const [offset, bits] of pieces) memory.set(bytesOfBits(bits), offset);
  const expected = Buffer.from(memory);
  expected.set(bytesOfBits(result[1]), result[0]);
  operation();
  assert.equal(Buffer.compare(expected, memory), 0, "memory differs");
}

for (const kernel of KERNELS) {
  describe(`${kernel.name}: sums and differences`, () => {
    for (const [operation, dtype] of OPERATIONS.flatMap((each) =>
      SUM_DTYPES.map((dtype) => [each, dtype] as const),
    )) {
      const first = anyNumbers(dtype, MOST, 1);
      const second = anyNumbers(dtype, MOST, 2);
      const expected = results(operation, dtype, first, second);
      const check = (count: number, at: number, secondAt: number, resultAt: number) => {
        const operands = [
          [at, first.subarray(0, count)],
          [secondAt, second.subarray(0, count)],
        ] as const;
        const result = [resultAt, expected.subarray(0, count)] as const;
        checkMemory(kernel, operands, result, () => kernel[operation](dtype, at, secondAt, resultAt, count));
      };

      test(`${operation} ${dtype}: lengths 0 to ${MOST} at every alignment`, () => {
        for (let count = 0; count <= MOST; count++) {
          for (let shift = 0; shift < 16; shift++) {
            const [a, b, c] = [shift, REGION + ((shift * 5) % 16), 2 * REGION + ((shift * 3 + count) % 16)];
            check(count, a, b, c);
          }
        }
      });
      test(`${operation} ${dtype}: the destination is either operand`, () => {
        for (let count = 0; count <= MOST; count++) {
          for (const shift of [0, 1, 4]) {
            check(count, shift, REGION + shift, shift);
            check(count, shift, REGION + 1, REGION + 1);
            check(count, 2 * REGION, shift, shift);
          }
        }
      });
      test(`${operation} ${dtype}: operands and destination are one`, () => {
        const withItself = results(operation, dtype, first, first);
        for (const at of [0, 3]) {
          checkMemory(kernel, [[at, first]], [at, withItself], () =>
            kernel[operation](dtype, at, at, at, MOST),
          );
        }
      });
      test(`${operation} ${dtype}: an infinity at every place`, () => {
        for (let at = 0; at < MOST; at++) {
          const special = withInfinityAt(dtype, at);
          const plain = smallNumbers(dtype, MOST, 4);
          const operands = [
            [0, special],
            [REGION, plain],
          ] as const;
          const result = results(operation, dtype, special, plain);
          checkMemory(kernel, operands, [REGION, result], () =>
            kernel[operation](dtype, 0, REGION, REGION, MOST),
          );
        }
      });
    }
  });

  describe(`${kernel.name}: conversions`, () => {
    for (const [from, to] of CONVERSIONS) {
      const source = anyNumbers(from, MOST, 5);
      const expected = conversions(from, to, source);
      const check = (count: number, at: number, resultAt: number) =>
        checkMemory(kernel, [[at, source.subarray(0, count)]], [resultAt, expected.subarray(0, count)], () =>
          kernel.convert(from, to, at, resultAt, count),
        );

      test(`${from} to ${to}: lengths 0 to ${MOST} at every alignment, either way round`, () => {
        for (let count = 0; count <= MOST; count++) {
          for (let shift = 0; shift < 16; shift++) {
            check(count, shift, REGION + ((shift * 5 + count) % 16));
            check(count, REGION + shift, (shift * 3) % 16);
          }
        }
      });
      if (bytesOf(to) <= bytesOf(from)) {
        test(`${from} to ${to}: in place`, () => {
          for (let count = 0; count <= MOST; count++) for (const at of [0, 1, 8]) check(count, at, at);
        });
      }
      test(`${from} to ${to}: an infinity at every place`, () => {
        for (let at = 0; at < MOST; at++) {
          const special = withInfinityAt(from, at);
          const result = conversions(from, to, special);
          checkMemory(kernel, [[0, special]], [REGION, result], () =>
            kernel.convert(from, to, 0, REGION, MOST),
          );
        }
      });
    }
    test("equal dtypes are copied", () => {
      for (const dtype of SUM_DTYPES) {
        const source = anyNumbers(dtype, MOST, 6);
        checkMemory(kernel, [[1, source]], [REGION, source], () =>
          kernel.convert(dtype, dtype, 1, REGION, MOST),
        );
      }
    });
  });

  test(`${kernel.name}: nothing is done outside memory`, () => {
    const end = kernel.memory.length;
    for (const at of [end - 15, end, end + 1]) {
      for (const operation of OPERATIONS) {
        assert.throws(() => kernel[operation]("F16", at, 0, 0, 8), RangeError);
      }
      assert.throws(() => kernel.convert("F32", "F16", 0, at, 8), RangeError);
    }
  });
}
