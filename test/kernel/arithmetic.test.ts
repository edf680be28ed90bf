/** Sums, differences and conversions of every kernel, bit for bit against the oracle. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { FloatDType, SumDType } from "../../src/tensor.js";
import {
  assertSameBits,
  type Bits,
  CONVERSIONS,
  combineBits,
  convertAll,
  countSums,
  emptyBits,
  KERNELS,
  mapBits,
  OPERATIONS,
  SUM_DTYPES,
} from "./kernels-under-test.js";
import { convertBits, ORACLE, sumCounts } from "./oracle.js";
import { anyNumbers, drawFrom, edgeNumbers, smallNumbers } from "./samples.js";

const EVERY_16_BITS = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);
const SIXTEEN_BITS = ["F16", "BF16"] as const;

/** Sums and differences of the same operands. */
function checkSums(dtype: SumDType, first: Bits, second: Bits): void {
  const sums = new Map<string, Bits>();
  for (const operation of OPERATIONS) {
    const expected = mapBits(dtype, first, (bits, index) =>
      ORACLE[operation](dtype, Number(bits), Number(second[index])),
    );
    sums.set(operation, expected);
    for (const kernel of KERNELS) {
      assertSameBits(combineBits(kernel, operation, dtype, first, second), expected, first, second);
    }
  }
  checkCounts(dtype, first, second, sums.get("add"));
}

/** What every kernel counts of sums: of all of them, and of runs short enough to tell one block from the next. */
function checkCounts(dtype: SumDType, base: Bits, delta: Bits, sums?: Bits): void {
  const counts = Array.from({ length: base.length }, (_, index) => {
    const sum = sums === undefined ? undefined : Number(sums[index]);
    return sumCounts(dtype, Number(base[index]), Number(delta[index]), sum);
  });
  const runs = [1, 7, 8, 13, 29].map((length) => ({ start: length, length }));
  for (const { start, length } of [{ start: 0, length: base.length }, ...runs]) {
    const part = counts.slice(start, start + length);
    const expected = {
      inexact: part.reduce((sum, { inexact }) => sum + inexact, 0),
      notFinite: part.reduce((sum, { notFinite }) => sum + notFinite, 0),
    };
    for (const kernel of KERNELS) {
      const operands = [base, delta].map((bits) => bits.slice(start, start + length)) as [Bits, Bits];
      assert.deepEqual(
        countSums(kernel, dtype, ...operands),
        expected,
        `${kernel.name} ${dtype} from ${start}`,
      );
    }
  }
}

function checkConversions(from: FloatDType, to: SumDType, source: Bits): void {
  const expected = mapBits(to, source, (bits) => convertBits(from, to, bits));
  for (const kernel of KERNELS) assertSameBits(convertAll(kernel, from, to, source), expected, source);
}

describe("sums and differences of every 16-bit number", () => {
  const partners: Record<string, Record<"F16" | "BF16", (bits: number) => number>> = {
    "+0": { F16: () => 0, BF16: () => 0 },
    "-0": { F16: () => 0x8000, BF16: () => 0x8000 },
    one: { F16: () => 0x3c00, BF16: () => 0x3f80 },
    itself: { F16: (bits) => bits, BF16: (bits) => bits },
    "its negative": { F16: (bits) => bits ^ 0x8000, BF16: (bits) => bits ^ 0x8000 },
    "the greatest": { F16: () => 0x7bff, BF16: () => 0x7f7f },
    "half of the last bit of the greatest": { F16: () => 0x4c00, BF16: () => 0x7b00 },
    "the least": { F16: () => 1, BF16: () => 1 },
  };
  for (const [name, partner] of Object.entries(partners)) {
    for (const dtype of SIXTEEN_BITS) {
      test(`${dtype} and ${name}`, () =>
        checkSums(
          dtype,
          EVERY_16_BITS,
          EVERY_16_BITS.map((bits) => partner[dtype](bits)),
        ));
    }
  }
});

describe("sums and differences", () => {
  test("F16: every pair of edge numbers", () => {
    const edges = edgeNumbers("F16", []);
    const pairs = edges.length ** 2;
    const base = emptyBits("F16", pairs);
    const delta = emptyBits("F16", pairs);
    for (let i = 0; i < pairs; i++) {
      base[i] = edges[i % edges.length] as number & bigint;
      delta[i] = edges[Math.floor(i / edges.length)] as number & bigint;
    }
    checkSums("F16", base, delta);
  });
  for (const [seed, dtype] of SUM_DTYPES.entries()) {
    test(`${dtype}: edge numbers at random`, () => {
      const edges = edgeNumbers(dtype);
      checkSums(dtype, drawFrom(dtype, edges, 8_000, seed), drawFrom(dtype, edges, 8_000, seed + 10));
    });
    test(`${dtype}: any numbers`, () =>
      checkSums(dtype, anyNumbers(dtype, 8_000, seed), anyNumbers(dtype, 8_000, seed + 10)));
    test(`${dtype}: small numbers`, () =>
      checkSums(dtype, smallNumbers(dtype, 8_000, seed), smallNumbers(dtype, 8_000, seed + 10)));
    test(`${dtype}: numbers of like exponents`, () => {
      const base = anyNumbers(dtype, 8_000, seed + 20);
      const top = 2 ** (8 * base.BYTES_PER_ELEMENT - 1);
      const delta = mapBits(dtype, base, (bits, index) =>
        Math.abs((Number(bits) + top + (index % 9) - 4) % (2 * top)),
      );
      checkSums(dtype, base, delta);
    });
  }
});

describe("conversions", () => {
  for (const [seed, [from, to]] of CONVERSIONS.entries()) {
    test(`${from} to ${to}: any, small and edge numbers`, () => {
      checkConversions(from, to, edgeNumbers(from));
      checkConversions(from, to, anyNumbers(from, 10_000, seed));
      checkConversions(from, to, smallNumbers(from, 10_000, seed));
    });
  }
  for (const from of SIXTEEN_BITS) {
    for (const to of SUM_DTYPES) {
      test(`${from} to ${to}: every number`, () => checkConversions(from, to, EVERY_16_BITS));
    }
  }
  test("F32 to F32 keeps every bit", () => checkConversions("F32", "F32", anyNumbers("F32", 10_000, 1)));
});
