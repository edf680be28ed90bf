/**
 * F16: widening, adding, rounding, by integer significands and exact powers of two.
 *
 * In and out: vectors of eight F16 or four F32. No F32 subnormal is ever formed but by `storeSumAsIs`, though most delta
 * values are F16 subnormals: arithmetic on them is many times slower on some processors. The fast methods ask for numbers below a
 * bound that `beyond...` tests; the `...Exact` ones take anything, infinities and NaN too, and are real functions:
 * they run for the odd block and for tails.
 *
 * An F16 with exponent field e and mantissa m is (e > 0 ? 1024 + m : 2m) * 2^(e - 25).
 */

// biome-ignore-all lint/complexity/noStaticOnlyClass: a decorator may stand on a method but not on a function

import { F32 } from "./f32";
import { Lanes } from "./lanes";

const SIGN: i16 = <i16>0x8000;
const MAGNITUDE: i16 = 0x7fff;
const MANTISSA: i16 = 0x3ff;
const LEADING_ONE: i16 = 0x400;
const INFINITY: i16 = 0x7c00;
const NAN: i16 = 0x7e00;

/** Numbers of 2^15 and more, doubled (the sign bit shifted out), exceed this. */
const BELOW_2_15: i16 = <i16>0xefff;
/** Infinities and NaN, doubled, exceed this. */
const FINITE: i16 = <i16>0xf7ff;
/** The upper halves of F32 of 2^16 and more, doubled, exceed this: the exponent field is at least 127 + 16. */
const F32_BELOW_2_16: i16 = <i16>(((127 + 16) << 8) - 1);
/** Any F32 that rounds to infinity and whose exponent still fits the rounding. */
const F32_OVERFLOW: f32 = 131072;

/** In the upper half of an F32 the exponent field starts at this bit. */
const HEAD_EXPONENT_BIT: i16 = 7;
const HEAD_EXPONENT: i16 = 0x7f80;
/** Sign and exponent of an F16, shifted right by 3 with its sign, without the copies of the sign. */
const HEAD_MASK: i16 = <i16>0x8fff;
/** Makes the exponent field 125 + e: widens to the F16's own value. */
const HEAD_BIAS: i16 = 125 << HEAD_EXPONENT_BIT;
/** Makes the exponent field 128 + e by one OR: widens to 8 times the F16's value. */
const HEAD_TIMES_8: i16 = 128 << HEAD_EXPONENT_BIT;
/** The F32 exponent field of 2^-14, the least normal F16. */
const LEAST_NORMAL: i32 = 127 - 14;

export class F16 {
  /** Nonzero where a lane of either operand is 2^15 or more, an infinity or NaN: their sum might not be finite. */
  @inline
  static beyondSum(a: v128, b: v128): v128 {
    return i16x8.sub_sat_u(i16x8.max_u(i16x8.shl(a, 1), i16x8.shl(b, 1)), i16x8.splat(BELOW_2_15));
  }

  /** Nonzero where a lane is an infinity or NaN. */
  @inline
  static beyondFinite(eight: v128): v128 {
    return i16x8.sub_sat_u(i16x8.shl(eight, 1), i16x8.splat(FINITE));
  }

  /** Nonzero where one of eight F32 is 2^16 or more, an infinity or NaN. */
  @inline
  static beyondNarrow(first: v128, second: v128): v128 {
    return i16x8.sub_sat_u(i16x8.shl(Lanes.highHalves(first, second), 1), i16x8.splat(F32_BELOW_2_16));
  }

  /** Eight F16 with their signs turned. */
  @inline
  static negated(eight: v128): v128 {
    return v128.xor(eight, i16x8.splat(SIGN));
  }

  /** e > 0 ? 1024 + m : 2m. The doubled F16 is the smaller one only when e = 0. */
  @inline
  static significand(eight: v128): v128 {
    const normal = v128.or(v128.and(eight, i16x8.splat(MANTISSA)), i16x8.splat(LEADING_ONE));
    return i16x8.min_u(i16x8.shl(eight, 1), normal);
  }

  /** Sign, exponent (yet without bias) and upper mantissa bits at their places in an F32. */
  @inline
  static head(eight: v128): v128 {
    return v128.and(i16x8.shr_s(eight, 3), i16x8.splat(HEAD_MASK));
  }

  /**
   * From F32 whose low 16 bits are a significand: sign * significand * 2^(exponent - 23). Taking away the same
   * number without its low bits leaves just that, exactly, whatever the upper mantissa bits were; a zero is +0.
   */
  @inline
  static scale(four: v128): v128 {
    return f32x4.sub(four, v128.and(four, i32x4.splat(<i32>0xffff0000)));
  }

  @inline
  static signed(four: v128, value: v128): v128 {
    return v128.or(value, v128.and(four, i32x4.splat(<i32>0x80000000)));
  }

  /** Lanes 0 to 3, all finite, as F32. */
  @inline
  static widenLow(eight: v128): v128 {
    const head = i16x8.add(F16.head(eight), i16x8.splat(HEAD_BIAS));
    const four = Lanes.pairLow(F16.significand(eight), head);
    return F16.signed(four, F16.scale(four));
  }

  /** Lanes 4 to 7, all finite, as F32. */
  @inline
  static widenHigh(eight: v128): v128 {
    const head = i16x8.add(F16.head(eight), i16x8.splat(HEAD_BIAS));
    const four = Lanes.pairHigh(F16.significand(eight), head);
    return F16.signed(four, F16.scale(four));
  }

  /** Lanes 0 to 3 as F32; a NaN keeps its sign and payload. */
  static widenLowExact(eight: v128): v128 {
    const special = i16x8.ge_s(v128.and(eight, i16x8.splat(MAGNITUDE)), i16x8.splat(INFINITY));
    const head = v128.or(F16.head(eight), i16x8.splat(HEAD_EXPONENT));
    const bits = Lanes.pairLow(i16x8.shl(eight, 13), head);
    return v128.bitselect(bits, F16.widenLow(eight), Lanes.pairLow(special, special));
  }

  /** The upper halves of 2^(E + 13), with E the exponent of each of eight F32, at least that of the least normal F16. */
  @inline
  static power(heads: v128, scaleBits: i32): v128 {
    const least = i16x8.splat(<i16>((LEAST_NORMAL + scaleBits) << HEAD_EXPONENT_BIT));
    const exponent = i16x8.max_s(v128.and(heads, i16x8.splat(HEAD_EXPONENT)), least);
    return i16x8.add(exponent, i16x8.splat(13 << HEAD_EXPONENT_BIT));
  }

  /** What rides in the lower half of `power`: see `magnitude`. */
  @inline
  static rest(scaleBits: i32): v128 {
    return i16x8.splat(<i16>(-(LEAST_NORMAL + 13 + scaleBits) << 10));
  }

  /**
   * The magnitudes of eight F32 as F16 bits, divided by 2^scaleBits, after which they must be below 2^18; 0x7c00 and
   * more mean infinity.
   *
   * With E the exponent of x, at least -14, adding 2^(E + 13) of x's sign moves x's last F16 bit to the last F32
   * bit, and the addition rounds to nearest even. The low bits of the sum are then n, at most 2048, and the F16 is
   * ((E + 14) << 10) + n modulo 2^16. `power` holds E + 14 + a constant; minus that constant, `rest`, rides in the
   * low half of the power of two: it is even, so ties still go to even.
   */
  @inline
  static magnitude(first: v128, second: v128, heads: v128, sign: v128, scaleBits: i32): v128 {
    const power = F16.power(heads, scaleBits);
    const rest = F16.rest(scaleBits);
    const signedPower = v128.or(power, sign);
    const n = Lanes.lowHalves(
      f32x4.add(first, Lanes.pairLow(rest, signedPower)),
      f32x4.add(second, Lanes.pairHigh(rest, signedPower)),
    );
    return i16x8.add(n, i16x8.shl(power, 3));
  }

  /** Eight F32 below 2^16, rounded to F16. */
  @inline
  static narrow(first: v128, second: v128): v128 {
    const heads = Lanes.highHalves(first, second);
    const sign = v128.and(heads, i16x8.splat(SIGN));
    return v128.or(F16.magnitude(first, second, heads, sign, 0), sign);
  }

  static narrowExact(first: v128, second: v128): v128 {
    const number = Lanes.lowHalves(f32x4.eq(first, first), f32x4.eq(second, second));
    const most = f32x4.splat(F32_OVERFLOW);
    const least = f32x4.splat(-F32_OVERFLOW);
    const a = f32x4.pmax(f32x4.pmin(first, most), least);
    const b = f32x4.pmax(f32x4.pmin(second, most), least);
    const heads = Lanes.highHalves(a, b);
    const sign = v128.and(heads, i16x8.splat(SIGN));
    const magnitude = i16x8.min_u(F16.magnitude(a, b, heads, sign, 0), i16x8.splat(INFINITY));
    return v128.bitselect(v128.or(magnitude, sign), i16x8.splat(NAN), number);
  }

  /**
   * Stores the sum of two times eight F16, all below 2^15, and gives the lanes in which it isn't exact, as F32 lanes
   * narrowed to 16 bits. `magnitude` rounds by adding a power of two; taking that away again leaves the rounded sum,
   * and taking the first operand away from that leaves the second one if nothing was rounded off.
   */
  @inline
  static storeSum(destination: usize, a: v128, b: v128): v128 {
    const headA = v128.or(F16.head(a), i16x8.splat(HEAD_TIMES_8));
    const headB = v128.or(F16.head(b), i16x8.splat(HEAD_TIMES_8));
    const significandA = F16.significand(a);
    const significandB = F16.significand(b);
    const a0 = F16.scale(Lanes.pairLow(significandA, headA));
    const b0 = F16.scale(Lanes.pairLow(significandB, headB));
    const a1 = F16.scale(Lanes.pairHigh(significandA, headA));
    const b1 = F16.scale(Lanes.pairHigh(significandB, headB));
    const first = f32x4.add(a0, b0);
    const second = f32x4.add(a1, b1);
    const heads = Lanes.highHalves(first, second);
    // `scale` lost the sign of zeros: two negative operands have a negative sum, -0 + -0 included.
    const sign = v128.and(v128.or(heads, v128.and(a, b)), i16x8.splat(SIGN));
    const power = F16.power(heads, 3);
    const signedPower = v128.or(power, sign);
    const low = Lanes.pairLow(F16.rest(3), signedPower);
    const high = Lanes.pairHigh(F16.rest(3), signedPower);
    const shiftedFirst = f32x4.add(first, low);
    const shiftedSecond = f32x4.add(second, high);
    const n = Lanes.lowHalves(shiftedFirst, shiftedSecond);
    v128.store(destination, v128.or(i16x8.add(n, i16x8.shl(power, 3)), sign));
    return Lanes.masks(
      f32x4.ne(f32x4.sub(f32x4.sub(shiftedFirst, low), a0), b0),
      f32x4.ne(f32x4.sub(f32x4.sub(shiftedSecond, high), a1), b1),
    );
  }

  /**
   * As `storeSum`, where the processor adds subnormals as fast as other numbers: an F16's bits at their places in an F32
   * are the same number times 2^-112, and sums in that range are rounded as all others are.
   */
  @inline
  static storeSumAsIs(destination: usize, a: v128, b: v128): v128 {
    const headA = F16.head(a);
    const headB = F16.head(b);
    const tailA = i16x8.shl(a, 13);
    const tailB = i16x8.shl(b, 13);
    const a0 = Lanes.pairLow(tailA, headA);
    const b0 = Lanes.pairLow(tailB, headB);
    const a1 = Lanes.pairHigh(tailA, headA);
    const b1 = Lanes.pairHigh(tailB, headB);
    const first = F16.round(f32x4.add(a0, b0));
    const second = F16.round(f32x4.add(a1, b1));
    const sign = v128.and(Lanes.masks(first, second), i16x8.splat(SIGN));
    const magnitude = Lanes.highHalves(i32x4.shl(first, 3), i32x4.shl(second, 3));
    v128.store(destination, v128.or(magnitude, sign));
    return Lanes.masks(f32x4.ne(f32x4.sub(first, a0), b0), f32x4.ne(f32x4.sub(second, a1), b1));
  }

  /** Rounds four F32 to nearest even in the bits that an F16 has. */
  @inline
  static round(four: v128): v128 {
    const odd = v128.and(i32x4.shr_u(four, 13), i32x4.splat(1));
    return v128.and(i32x4.add(i32x4.add(four, i32x4.splat(0xfff)), odd), i32x4.splat(<i32>0xffffe000));
  }

  /** The sum of two times eight F16, all finite; overflow makes an infinity. */
  static sum(a: v128, b: v128): v128 {
    const headA = v128.or(F16.head(a), i16x8.splat(HEAD_TIMES_8));
    const headB = v128.or(F16.head(b), i16x8.splat(HEAD_TIMES_8));
    const significandA = F16.significand(a);
    const significandB = F16.significand(b);
    const first = f32x4.add(
      F16.scale(Lanes.pairLow(significandA, headA)),
      F16.scale(Lanes.pairLow(significandB, headB)),
    );
    const second = f32x4.add(
      F16.scale(Lanes.pairHigh(significandA, headA)),
      F16.scale(Lanes.pairHigh(significandB, headB)),
    );
    const heads = Lanes.highHalves(first, second);
    // `scale` lost the sign of zeros: two negative operands have a negative sum, -0 + -0 included.
    const sign = v128.and(v128.or(heads, v128.and(a, b)), i16x8.splat(SIGN));
    const magnitude = F16.magnitude(first, second, heads, sign, 3);
    return v128.or(i16x8.min_u(magnitude, i16x8.splat(INFINITY)), sign);
  }

  static sumExact(a: v128, b: v128): v128 {
    const infinity = i16x8.splat(INFINITY);
    const magnitudeA = v128.and(a, i16x8.splat(MAGNITUDE));
    const magnitudeB = v128.and(b, i16x8.splat(MAGNITUDE));
    const specialA = i16x8.ge_s(magnitudeA, infinity);
    const specialB = i16x8.ge_s(magnitudeB, infinity);
    const opposite = i16x8.shr_s(v128.xor(a, b), 15);
    const nan = v128.or(
      v128.or(i16x8.gt_s(magnitudeA, infinity), i16x8.gt_s(magnitudeB, infinity)),
      v128.and(v128.and(specialA, specialB), opposite),
    );
    const withB = v128.bitselect(b, F16.sum(a, b), specialB);
    return v128.bitselect(i16x8.splat(NAN), v128.bitselect(a, withB, specialA), nan);
  }

  /** The lanes in which |delta| is at most half of |base|, both finite: see `isComparable` of the reference kernel. */
  @inline
  static comparable(base: v128, delta: v128): v128 {
    const twice = i16x8.add(i16x8.shl(delta, 1), i16x8.splat(2 * LEADING_ONE));
    return i16x8.eq(i16x8.sub_sat_u(twice, i16x8.shl(base, 1)), i16x8.splat(0));
  }

  /** The lanes that are an infinity or NaN. */
  @inline
  static notFinite(eight: v128): v128 {
    return i16x8.ge_s(v128.and(eight, i16x8.splat(MAGNITUDE)), i16x8.splat(INFINITY));
  }

  /** The comparable lanes in which `sum` isn't exactly base + delta, whatever they are. */
  static inexactExact(base: v128, delta: v128, sum: v128): v128 {
    const special = v128.or(F16.notFinite(base), F16.notFinite(delta));
    const rounded = Lanes.masks(
      F32.inexact(F16.widenLowExact(base), F16.widenLowExact(delta), F16.widenLowExact(sum)),
      F32.inexact(
        F16.widenLowExact(Lanes.upper(base)),
        F16.widenLowExact(Lanes.upper(delta)),
        F16.widenLowExact(Lanes.upper(sum)),
      ),
    );
    return v128.andnot(v128.and(rounded, F16.comparable(base, delta)), special);
  }
}
