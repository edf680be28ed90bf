/**
 * Lanes: how eight 16-bit numbers become two vectors of four 32-bit numbers and back.
 *
 * In: vectors. Out: vectors. Nothing here rounds or knows a float format. Static methods, since a decorator
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
}
