/**
 * The loops of simd.ts's `add...` and `subtract...`; their shape is described there. What a block counted is taken
 * back where the block is done again the exact way.
 */

// biome-ignore-all lint/complexity/noStaticOnlyClass: a decorator may stand on a method but not on a function

import { F16 } from "./f16";
import { BF16, F32 } from "./f32";
import { Lanes } from "./lanes";

/** Elements that are done at a time. */
export const BLOCK: usize = 8;

/** What the last sum counted: see `SumCounts`. */
export let inexact: u32 = 0;
export let notFinite: u32 = 0;

/** Blocks after which a 16-bit counter must be emptied: each adds one at most. */
const MOST_BLOCKS: usize = 0xffff;

export class Sums {
  /** `AsIs`: a float for `storeSumAsIs`, an integer for `storeSum`. */
  @inline
  static addF16<AsIs>(a: usize, b: usize, destination: usize, count: usize): void {
    inexact = 0;
    notFinite = 0;
    let blocks = count / BLOCK;
    while (blocks > 0) {
      const end = a + 16 * min(blocks, MOST_BLOCKS);
      const start = a;
      let counters = i16x8.splat(0);
      let left: v128, right: v128, mask: v128;
      do {
        left = v128.load(a);
        right = v128.load(b);
        if (isFloat<AsIs>()) mask = F16.storeSumAsIs(destination, left, right);
        else mask = F16.storeSum(destination, left, right);
        mask = v128.and(mask, F16.comparable(left, right));
        counters = i16x8.sub(counters, mask);
        a += 16;
        b += 16;
        destination += 16;
      } while (a < end && !v128.any_true(F16.beyondSum(left, right)));
      blocks -= (a - start) / 16;
      const sum = F16.sumExact(left, right);
      v128.store(destination - 16, sum);
      const exactly = F16.inexactExact(left, right, sum);
      inexact += Lanes.sum8(counters) + Lanes.count8(exactly) - Lanes.count8(mask);
      notFinite += Lanes.count8(F16.notFinite(sum));
    }
    for (let rest = count % BLOCK; rest > 0; rest--) {
      const left = v128.load_splat<u16>(a);
      const right = v128.load_splat<u16>(b);
      const sum = F16.sumExact(left, right);
      v128.store_lane<u16>(destination, sum, 0);
      inexact += Lanes.count8(F16.inexactExact(left, right, sum)) / 8;
      notFinite += Lanes.count8(F16.notFinite(sum)) / 8;
      a += 2;
      b += 2;
      destination += 2;
    }
  }

  @inline
  static addBF16(a: usize, b: usize, destination: usize, count: usize): void {
    inexact = 0;
    notFinite = 0;
    let blocks = count / BLOCK;
    while (blocks > 0) {
      const end = a + 16 * min(blocks, MOST_BLOCKS);
      const start = a;
      let counters = i16x8.splat(0);
      let first: v128, second: v128, sum: v128, mask: v128, left: v128, right: v128;
      do {
        left = v128.load(a);
        right = v128.load(b);
        first = f32x4.add(BF16.widenLow(left), BF16.widenLow(right));
        second = f32x4.add(BF16.widenHigh(left), BF16.widenHigh(right));
        sum = BF16.narrow(first, second);
        v128.store(destination, sum);
        mask = v128.and(BF16.inexact(left, right, sum), BF16.comparable(left, right));
        counters = i16x8.sub(counters, mask);
        a += 16;
        b += 16;
        destination += 16;
      } while (a < end && !v128.any_true(BF16.notFinite(sum)));
      blocks -= (a - start) / 16;
      sum = BF16.narrowExact(first, second);
      v128.store(destination - 16, sum);
      const finite = v128.not(v128.or(BF16.notFinite(left), BF16.notFinite(right)));
      inexact += Lanes.sum8(counters) + Lanes.count8(v128.and(mask, finite)) - Lanes.count8(mask);
      notFinite += Lanes.count8(BF16.notFinite(sum));
    }
    for (let rest = count % BLOCK; rest > 0; rest--) {
      const left = v128.load_splat<u16>(a);
      const right = v128.load_splat<u16>(b);
      const wide = f32x4.add(BF16.widenLow(left), BF16.widenLow(right));
      const sum = BF16.narrowExact(wide, wide);
      v128.store_lane<u16>(destination, sum, 0);
      const finite = v128.not(v128.or(BF16.notFinite(left), BF16.notFinite(right)));
      const mask = v128.and(BF16.inexact(left, right, sum), BF16.comparable(left, right));
      inexact += Lanes.count8(v128.and(mask, finite)) / 8;
      notFinite += Lanes.count8(BF16.notFinite(sum)) / 8;
      a += 2;
      b += 2;
      destination += 2;
    }
  }

  @inline
  static addF32(a: usize, b: usize, destination: usize, count: usize): void {
    inexact = 0;
    notFinite = 0;
    let fours = count / 4;
    while (fours > 0) {
      const end = a + 16 * fours;
      const start = a;
      let counters = i32x4.splat(0);
      let left: v128, right: v128, sum: v128, mask: v128;
      do {
        left = v128.load(a);
        right = v128.load(b);
        sum = f32x4.add(left, right);
        v128.store(destination, sum);
        mask = v128.and(F32.inexact(left, right, sum), F32.comparable(left, right));
        counters = i32x4.sub(counters, mask);
        a += 16;
        b += 16;
        destination += 16;
      } while (a < end && !v128.any_true(F32.notFinite(sum)));
      fours -= (a - start) / 16;
      v128.store(destination - 16, F32.canonical(sum));
      const finite = v128.not(v128.or(F32.notFinite(left), F32.notFinite(right)));
      inexact += Lanes.sum4(counters) + Lanes.count4(v128.and(mask, finite)) - Lanes.count4(mask);
      notFinite += Lanes.count4(F32.notFinite(sum));
    }
    for (let rest = count % 4; rest > 0; rest--) {
      const left = v128.load_splat<u32>(a);
      const right = v128.load_splat<u32>(b);
      const sum = F32.canonical(f32x4.add(left, right));
      v128.store_lane<u32>(destination, sum, 0);
      const finite = v128.not(v128.or(F32.notFinite(left), F32.notFinite(right)));
      const mask = v128.and(F32.inexact(left, right, sum), F32.comparable(left, right));
      inexact += Lanes.count4(v128.and(mask, finite)) / 4;
      notFinite += Lanes.count4(F32.notFinite(sum)) / 4;
      a += 4;
      b += 4;
      destination += 4;
    }
  }

  @inline
  static subtractF16(a: usize, b: usize, destination: usize, count: usize): void {
    for (let blocks = count / BLOCK; blocks > 0; blocks--) {
      const left = v128.load(a);
      const right = F16.negated(v128.load(b));
      if (v128.any_true(F16.beyondSum(left, right))) v128.store(destination, F16.sumExact(left, right));
      else F16.storeSum(destination, left, right);
      a += 16;
      b += 16;
      destination += 16;
    }
    for (let rest = count % BLOCK; rest > 0; rest--) {
      const right = F16.negated(v128.load_splat<u16>(b));
      v128.store_lane<u16>(destination, F16.sumExact(v128.load_splat<u16>(a), right), 0);
      a += 2;
      b += 2;
      destination += 2;
    }
  }

  @inline
  static subtractBF16(a: usize, b: usize, destination: usize, count: usize): void {
    for (let blocks = count / BLOCK; blocks > 0; blocks--) {
      const left = v128.load(a);
      const right = v128.load(b);
      const first = f32x4.sub(BF16.widenLow(left), BF16.widenLow(right));
      const second = f32x4.sub(BF16.widenHigh(left), BF16.widenHigh(right));
      v128.store(destination, BF16.narrowExact(first, second));
      a += 16;
      b += 16;
      destination += 16;
    }
    for (let rest = count % BLOCK; rest > 0; rest--) {
      const left = BF16.widenLow(v128.load_splat<u16>(a));
      const wide = f32x4.sub(left, BF16.widenLow(v128.load_splat<u16>(b)));
      v128.store_lane<u16>(destination, BF16.narrowExact(wide, wide), 0);
      a += 2;
      b += 2;
      destination += 2;
    }
  }

  @inline
  static subtractF32(a: usize, b: usize, destination: usize, count: usize): void {
    for (let fours = count / 4; fours > 0; fours--) {
      v128.store(destination, F32.canonical(f32x4.sub(v128.load(a), v128.load(b))));
      a += 16;
      b += 16;
      destination += 16;
    }
    for (let rest = count % 4; rest > 0; rest--) {
      const difference = f32x4.sub(v128.load_splat<u32>(a), v128.load_splat<u32>(b));
      v128.store_lane<u32>(destination, F32.canonical(difference), 0);
      a += 4;
      b += 4;
      destination += 4;
    }
  }
}
