/**
 * The kernels that every test runs over, and ways to run them on arrays of bits: Uint16Array for F16 and BF16,
 * Uint32Array for F32, BigUint64Array for F64.
 */

import assert from "node:assert/strict";
import type { Kernel, Operation, SumCounts } from "../../src/kernel/kernel.js";
import { compileKernel, instantiateKernel } from "../../src/kernel/select.js";
import type { FloatDType, SumDType } from "../../src/tensor.js";

export type Bits = Uint16Array | Uint32Array | BigUint64Array;

const MEMORY_BYTES = 8 * 1024 * 1024;

const simd = await compileKernel("simd");
assert.ok(simd.name === "simd");

/** SIMD both ways: which one is taken depends on the processor. */
export const KERNELS: readonly Kernel[] = [
  instantiateKernel(await compileKernel("reference"), MEMORY_BYTES),
  ...[true, false].map((addsSubnormals) => instantiateKernel({ ...simd, addsSubnormals }, MEMORY_BYTES)),
];

export const SUM_DTYPES: readonly SumDType[] = ["F16", "BF16", "F32"];

/** Every conversion that changes the dtype. */
export const CONVERSIONS: readonly (readonly [FloatDType, SumDType])[] = (
  ["F16", "BF16", "F32", "F64"] as const
).flatMap((from) => SUM_DTYPES.filter((to) => to !== from).map((to) => [from, to] as const));

export function emptyBits(dtype: FloatDType, count: number): Bits {
  if (dtype === "F64") return new BigUint64Array(count);
  return dtype === "F32" ? new Uint32Array(count) : new Uint16Array(count);
}

export function bitsFrom(dtype: FloatDType, values: Iterable<number | bigint>): Bits {
  const list = [...values];
  if (dtype === "F64") return BigUint64Array.from(list, BigInt);
  return dtype === "F32" ? Uint32Array.from(list, Number) : Uint16Array.from(list, Number);
}

/** The results of `operation` for each element, as bits of `dtype`. */
export function mapBits(
  dtype: FloatDType,
  source: Bits,
  operation: (bits: number | bigint, index: number) => number | bigint,
): Bits {
  const results = emptyBits(dtype, source.length);
  for (let i = 0; i < source.length; i++) results[i] = operation(source[i] as number | bigint, i) as never;
  return results;
}

export function bytesOfBits(bits: Bits): Uint8Array {
  return new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
}

/** Copies bits out of the kernel's memory. */
export function readBits(kernel: Kernel, dtype: FloatDType, offset: number, count: number): Bits {
  const bits = emptyBits(dtype, count);
  bytesOfBits(bits).set(kernel.memory.subarray(offset, offset + bits.byteLength));
  return bits;
}

export const OPERATIONS: readonly Operation[] = ["add", "subtract"];

export function combineBits(
  kernel: Kernel,
  operation: Operation,
  dtype: SumDType,
  first: Bits,
  second: Bits,
): Bits {
  const size = first.byteLength;
  kernel.memory.set(bytesOfBits(first), 0);
  kernel.memory.set(bytesOfBits(second), size);
  kernel[operation](dtype, 0, size, 2 * size, first.length);
  return readBits(kernel, dtype, 2 * size, first.length);
}

/** What a kernel counts of the sums. */
export function countSums(kernel: Kernel, dtype: SumDType, base: Bits, delta: Bits): SumCounts {
  const size = base.byteLength;
  kernel.memory.set(bytesOfBits(base), 0);
  kernel.memory.set(bytesOfBits(delta), size);
  return kernel.add(dtype, 0, size, 2 * size, base.length);
}

export function convertAll(kernel: Kernel, from: FloatDType, to: SumDType, source: Bits): Bits {
  kernel.memory.set(bytesOfBits(source), 0);
  kernel.convert(from, to, 0, source.byteLength, source.length);
  return readBits(kernel, to, source.byteLength, source.length);
}

/** Fails with the first differing element and its operands. */
export function assertSameBits(actual: Bits, expected: Bits, ...operands: Bits[]): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] === expected[i]) continue;
    const hex = (bits: Bits) => `0x${bits[i]?.toString(16)}`;
    assert.fail(`element ${i} of ${operands.map(hex)}: expected ${hex(expected)}, got ${hex(actual)}`);
  }
}
