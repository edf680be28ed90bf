/**
 * Lanes: how eight 16-bit numbers become two vectors of four 32-bit numbers and back.
 *
 * Nothing here rounds or knows a float format. Static methods, since a decorator
 * (`@inline`) may stand on a method but not on a function.
 */

// biome-ignore-all lint/complexity/noStaticOnlyClass: a decorator may stand on a method but not on a function

export class Lanes {
  /** Lanes 0 to 3 as 32-bit numbers with the given low and high 16 bits. */
  @inline
  static pairLow(low: v128, high: v128): v128 {
    return v128.shuffle<u16>(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
  }

  /** Lanes 4 to 7 as 32-bit numbers with the given low and high 16 bits. */
  @inline
  static pairHigh(low: v128, high: v128): v128 {
    return v128.shuffle<u16>(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
  }

  /** The low 16 bits of eight 32-bit numbers. */
  @inline
  static lowHalves(first: v128, second: v128): v128 {
    return v128.shuffle<u16>(first, second, 0, 2, 4, 6, 8, 10, 12, 14);
  }

  /** The high 16 bits of eight 32-bit numbers. */
  @inline
  static highHalves(first: v128, second: v128): v128 {
    return v128.shuffle<u16>(first, second, 1, 3, 5, 7, 9, 11, 13, 15);
  }

  /** Lanes 4 to 7 moved to where lanes 0 to 3 were. */
  @inline
  static upper(eight: v128): v128 {
    return v128.shuffle<u64>(eight, eight, 1, 0);
  }

  /** Two masks of four lanes as one of eight. */
  @inline
  static masks(first: v128, second: v128): v128 {
    return i16x8.narrow_i32x4_s(first, second);
  }

  /** How many lanes of a mask of eight are set. */
  @inline
  static count8(mask: v128): u32 {
    return popcnt<u32>(i16x8.bitmask(mask));
  }

  /** How many lanes of a mask of four are set. */
  @inline
  static count4(mask: v128): u32 {
    return popcnt<u32>(i32x4.bitmask(mask));
  }

  /** The sum of eight 16-bit counters. */
  static sum8(counters: v128): u32 {
    const four = i32x4.extadd_pairwise_i16x8_u(counters);
    return (
      i32x4.extract_lane(four, 0) +
      i32x4.extract_lane(four, 1) +
      i32x4.extract_lane(four, 2) +
      i32x4.extract_lane(four, 3)
    );
  }

  /** The sum of four 32-bit counters. */
  static sum4(four: v128): u32 {
    return (
      i32x4.extract_lane(four, 0) +
      i32x4.extract_lane(four, 1) +
      i32x4.extract_lane(four, 2) +
      i32x4.extract_lane(four, 3)
    );
  }
}
