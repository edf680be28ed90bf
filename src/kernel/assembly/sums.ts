/**
 * Sums and differences: the loops of simd.ts's `add...` and `subtract...`.
 *
 * In: byte offsets of two operands and of the destination, a count of elements, whether the second operand's sign is
 * turned first; that is a constant at every call, so each function gets a loop of its own. Out: the destination's
 * bytes. The shape of the loops is described in simd.ts.
 */

// biome-ignore-all lint/complexity/noStaticOnlyClass: a decorator may stand on a method but not on a function

import { F16 } from "./f16";
import { BF16, F32 } from "./f32";

/** Elements that are done at a time. */
export const BLOCK: usize = 8;

export class Sums {
  @inline
  static f16(a: usize, b: usize, destination: usize, count: usize, negate: bool): void {
    let blocks = count / BLOCK;
    while (blocks > 0) {
      let left: v128, right: v128;
      do {
        left = v128.load(a);
        right = v128.load(b);
        if (negate) right = F16.negated(right);
        v128.store(destination, F16.sum(left, right, false));
        a += 16;
        b += 16;
        destination += 16;
        blocks--;
      } while (blocks > 0 && !v128.any_true(F16.beyondSum(left, right)));
      v128.store(destination - 16, F16.sumExact(left, right));
    }
    for (let rest = count % BLOCK; rest > 0; rest--) {
      let right = v128.load_splat<u16>(b);
      if (negate) right = F16.negated(right);
      v128.store_lane<u16>(destination, F16.sumExact(v128.load_splat<u16>(a), right), 0);
      a += 2;
      b += 2;
      destination += 2;
    }
  }

  @inline
  static bf16(a: usize, b: usize, destination: usize, count: usize, negate: bool): void {
    let blocks = count / BLOCK;
    while (blocks > 0) {
      let first: v128, second: v128;
      do {
        const left = v128.load(a);
        const right = v128.load(b);
        first = F32.sum(BF16.widenLow(left), BF16.widenLow(right), negate);
        second = F32.sum(BF16.widenHigh(left), BF16.widenHigh(right), negate);
        v128.store(destination, BF16.narrow(first, second));
        a += 16;
        b += 16;
        destination += 16;
        blocks--;
      } while (blocks > 0 && !v128.any_true(F32.nan(first, second)));
      v128.store(destination - 16, BF16.narrowExact(first, second));
    }
    for (let rest = count % BLOCK; rest > 0; rest--) {
      const left = BF16.widenLow(v128.load_splat<u16>(a));
      const sum = F32.sum(left, BF16.widenLow(v128.load_splat<u16>(b)), negate);
      v128.store_lane<u16>(destination, BF16.narrowExact(sum, sum), 0);
      a += 2;
      b += 2;
      destination += 2;
    }
  }

  @inline
  static f32(a: usize, b: usize, destination: usize, count: usize, negate: bool): void {
    let blocks = count / BLOCK;
    while (blocks > 0) {
      let first: v128, second: v128;
      do {
        first = F32.sum(v128.load(a), v128.load(b), negate);
        second = F32.sum(v128.load(a, 16), v128.load(b, 16), negate);
        v128.store(destination, first);
        v128.store(destination, second, 16);
        a += 32;
        b += 32;
        destination += 32;
        blocks--;
      } while (blocks > 0 && !v128.any_true(F32.nan(first, second)));
      v128.store(destination - 32, F32.canonical(first));
      v128.store(destination - 16, F32.canonical(second));
    }
    for (let rest = count % BLOCK; rest > 0; rest--) {
      const sum = F32.sum(v128.load_splat<u32>(a), v128.load_splat<u32>(b), negate);
      v128.store_lane<u32>(destination, F32.canonical(sum), 0);
      a += 4;
      b += 4;
      destination += 4;
    }
  }
}
