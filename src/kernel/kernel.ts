/**
 * The arithmetic of the project over one linear memory, by byte offsets of any alignment and counts of elements; only
 * the destination changes. Every kernel gives the same bytes on every machine. They are the bits of PyTorch on the CPU,
 * save for NaN, where machines differ among themselves: a NaN that a sum, a difference or a narrowing gives is always
 * `CANONICAL_NAN`, and widening F16 or BF16 to F32 keeps sign and payload.
 */

import { bitsOf, type FloatDType, type QuantizedDType, type SumDType } from "../tensor.js";

/** The bits of the NaN that arithmetic gives: quiet, positive, no payload. */
export const CANONICAL_NAN: Record<SumDType, number> = { F16: 0x7e00, BF16: 0x7fc0, F32: 0x7fc00000 };

/** How to do the arithmetic; all give the same bits. `auto` is SIMD where there is SIMD. */
export type KernelChoice = "auto" | "simd" | "reference";

/** What is done with a pair of tensors: a delta is added to a base, or a base taken from a tuned model. */
export type Operation = "add" | "subtract";

/** What is counted of sums while they are made, for the base check: docs/base-check.md has the argument. */
export interface SumCounts {
  /**
   * Sums that had to be rounded, among the pairs of numbers that the lemma speaks of: those where the bits of |delta|
   * and of the format's 1.0 * 2^(least exponent) together are no more than the bits of |base|. That is 2|delta| <=
   * |base| for all but subnormal deltas, of which it asks a little more. With the right base there are none.
   */
  readonly inexact: number;
  /** Sums that are infinities or NaN. */
  readonly notFinite: number;
}

export interface Kernel {
  readonly name: "simd" | "reference";

  /** The linear memory all offsets refer to, little-endian; callers read file bytes straight into it. */
  readonly memory: Uint8Array;

  /**
   * Converts `count` elements, rounding to nearest even; F64 goes by way of F32, as in PyTorch, and F16 to BF16 and
   * back, too (there the way is exact). Equal dtypes are copied bit for bit.
   *
   * `source` and `destination` are byte offsets; a range that leaves memory is a RangeError. The ranges may be apart in
   * any order, or start at the same offset if the destination's elements are not wider than the source's; no other
   * overlap is allowed.
   */
  convert(from: FloatDType, to: SumDType, source: number, destination: number, count: number): void;

  /**
   * `destination[i] = base[i] + delta[i]` for `count` elements, rounded once to nearest even; F16 and BF16 are widened
   * to F32 for it. The three are byte offsets; a range that leaves memory is a RangeError. The destination may equal
   * base or delta or both; no other overlap of the destination's range is allowed.
   */
  add(dtype: SumDType, base: number, delta: number, destination: number, count: number): SumCounts;

  /**
   * `destination[i] = tuned[i] - base[i]`: in every bit the sum of `tuned[i]` and `base[i]` with its sign turned. The
   * ranges are as in `add`.
   */
  subtract(dtype: SumDType, tuned: number, base: number, destination: number, count: number): void;

  /**
   * Quantizes `count` F32, whole blocks of 32, as ggml does (kernel/blocks.ts has the definition). The ranges are apart
   * from each other; one that leaves memory is a RangeError, and so is a count that isn't a multiple of 32.
   */
  quantize(to: QuantizedDType, source: number, destination: number, count: number): void;
}

/** Throws unless `count` elements at byte `offset` lie within the memory. */
export function checkRange(
  memory: Uint8Array,
  dtype: FloatDType | QuantizedDType,
  offset: number,
  count: number,
): void {
  if (offset >= 0 && count >= 0 && offset + (count * bitsOf(dtype)) / 8 <= memory.length) return;
  throw new RangeError(`${count} ${dtype} at byte ${offset} do not lie in ${memory.length} bytes`);
}
