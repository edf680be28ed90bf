/**
 * F32 and BF16, the upper half of an F32: widening, adding, rounding.
 *
 * In and out: vectors of four F32 or eight BF16. The fast methods are right for numbers and infinities; the
 * `...Exact` ones also for NaN, of which every operation makes the one canonical pattern. `Exact` methods are
 * real functions: they run for the odd block and for tails.
 */

// biome-ignore-all lint/complexity/noStaticOnlyClass: a decorator may stand on a method but not on a function

import { Lanes } from "./lanes";

const F32_NAN: i32 = 0x7fc00000;
const F32_MAGNITUDE: i32 = 0x7fffffff;
const F32_INFINITY: i32 = 0x7f800000;
const F32_LEADING_ONE: i32 = 0x800000;
const BF16_NAN: i16 = 0x7fc0;
const BF16_MAGNITUDE: i16 = 0x7fff;
const BF16_INFINITY: i16 = 0x7f80;
const BF16_LEADING_ONE: i16 = 0x80;

export class F32 {
  /** Four F64, two in each vector, rounded to F32. */
  @inline
  static fromF64(first: v128, second: v128): v128 {
    return v128.shuffle<u64>(f32x4.demote_f64x2_zero(first), f32x4.demote_f64x2_zero(second), 0, 2);
  }

  /** The lanes in which `sum`, rounded, isn't exactly a + b. Where |b| <= |a|/2, `sum - a` has no rounding of its own. */
  @inline
  static inexact(a: v128, b: v128, sum: v128): v128 {
    return f32x4.ne(f32x4.sub(sum, a), b);
  }

  /** The lanes that are an infinity or NaN. */
  @inline
  static notFinite(four: v128): v128 {
    return i32x4.ge_s(v128.and(four, i32x4.splat(F32_MAGNITUDE)), i32x4.splat(F32_INFINITY));
  }

  /** The lanes in which |delta| is at most half of |base|, both finite: see `isComparable` of the reference kernel. */
  @inline
  static comparable(base: v128, delta: v128): v128 {
    const size = v128.and(delta, i32x4.splat(F32_MAGNITUDE));
    const magnitude = v128.and(base, i32x4.splat(F32_MAGNITUDE));
    return i32x4.gt_s(magnitude, i32x4.add(size, i32x4.splat(F32_LEADING_ONE - 1)));
  }

  /** Nonzero where a lane of either vector is NaN. */
  @inline
  static nan(first: v128, second: v128): v128 {
    return v128.or(f32x4.ne(first, first), f32x4.ne(second, second));
  }

  /** The same four numbers, every NaN the canonical one. */
  @inline
  static canonical(four: v128): v128 {
    return v128.bitselect(four, i32x4.splat(F32_NAN), f32x4.eq(four, four));
  }
}

export class BF16 {
  @inline
  static widenLow(eight: v128): v128 {
    return Lanes.pairLow(i16x8.splat(0), eight);
  }

  @inline
  static widenHigh(eight: v128): v128 {
    return Lanes.pairHigh(i16x8.splat(0), eight);
  }

  /** Rounds to nearest even in the upper 16 bits: adds just under half, and one more if the result would be odd. */
  @inline
  static round(four: v128): v128 {
    const odd = v128.and(i32x4.shr_u(four, 16), i32x4.splat(1));
    return i32x4.add(i32x4.add(four, i32x4.splat(0x7fff)), odd);
  }

  /** Eight F32, none NaN, rounded to BF16. */
  @inline
  static narrow(first: v128, second: v128): v128 {
    return Lanes.highHalves(BF16.round(first), BF16.round(second));
  }

  /** The lanes that are an infinity or NaN. */
  @inline
  static notFinite(eight: v128): v128 {
    return i16x8.ge_s(v128.and(eight, i16x8.splat(BF16_MAGNITUDE)), i16x8.splat(BF16_INFINITY));
  }

  /** The lanes in which |delta| is at most half of |base|, both finite: see `isComparable` of the reference kernel. */
  @inline
  static comparable(base: v128, delta: v128): v128 {
    const size = v128.and(delta, i16x8.splat(BF16_MAGNITUDE));
    const magnitude = v128.and(base, i16x8.splat(BF16_MAGNITUDE));
    return i16x8.gt_s(magnitude, i16x8.add(size, i16x8.splat(BF16_LEADING_ONE - 1)));
  }

  /** The lanes in which `sum` isn't exactly base + delta. */
  @inline
  static inexact(base: v128, delta: v128, sum: v128): v128 {
    return Lanes.masks(
      F32.inexact(BF16.widenLow(base), BF16.widenLow(delta), BF16.widenLow(sum)),
      F32.inexact(BF16.widenHigh(base), BF16.widenHigh(delta), BF16.widenHigh(sum)),
    );
  }

  static narrowExact(first: v128, second: v128): v128 {
    const number = Lanes.lowHalves(f32x4.eq(first, first), f32x4.eq(second, second));
    return v128.bitselect(BF16.narrow(first, second), i16x8.splat(BF16_NAN), number);
  }
}
