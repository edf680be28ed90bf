/**
 * The loop of simd.ts's conversions that round; its shape is described there. A format is named by a type of its width:
 * F64 and F32 by f64 and f32, F16 by i16, BF16 by u16, so that every `if` is decided when it is compiled.
 */

// biome-ignore-all lint/complexity/noStaticOnlyClass: a decorator may stand on a method but not on a function

import { F16 } from "./f16";
import { BF16, F32 } from "./f32";
import { BLOCK } from "./sums";

export class Narrowing {
  @inline
  static convert<From, To>(source: usize, destination: usize, count: usize): void {
    let blocks = count / BLOCK;
    while (blocks > 0) {
      let first: v128, second: v128;
      do {
        if (sizeof<From>() === 8) {
          first = F32.fromF64(v128.load(source), v128.load(source, 16));
          second = F32.fromF64(v128.load(source, 32), v128.load(source, 48));
        } else if (sizeof<From>() === 4) {
          first = v128.load(source);
          second = v128.load(source, 16);
        } else {
          const eight = v128.load(source);
          first = BF16.widenLow(eight);
          second = BF16.widenHigh(eight);
        }
        if (sizeof<To>() === 4) Narrowing.store(destination, first, second);
        else if (isSigned<To>()) v128.store(destination, F16.narrow(first, second));
        else v128.store(destination, BF16.narrow(first, second));
        source += BLOCK * sizeof<From>();
        destination += BLOCK * sizeof<To>();
        blocks--;
      } while (blocks > 0 && !v128.any_true(Narrowing.beyond<To>(first, second)));
      const at = destination - BLOCK * sizeof<To>();
      if (sizeof<To>() === 4) Narrowing.store(at, F32.canonical(first), F32.canonical(second));
      else v128.store(at, Narrowing.exact<To>(first, second));
    }
    for (let rest = count % BLOCK; rest > 0; rest--) {
      let wide: v128;
      if (sizeof<From>() === 8) wide = f32x4.demote_f64x2_zero(v128.load_splat<u64>(source));
      else if (sizeof<From>() === 4) wide = v128.load_splat<u32>(source);
      else wide = BF16.widenLow(v128.load_splat<u16>(source));
      if (sizeof<To>() === 4) v128.store_lane<u32>(destination, F32.canonical(wide), 0);
      else v128.store_lane<u16>(destination, Narrowing.exact<To>(wide, wide), 0);
      source += sizeof<From>();
      destination += sizeof<To>();
    }
  }

  @inline
  static store(at: usize, first: v128, second: v128): void {
    v128.store(at, first);
    v128.store(at, second, 16);
  }

  /** Nonzero where one of eight F32 can't be rounded the fast way. */
  @inline
  static beyond<To>(first: v128, second: v128): v128 {
    return sizeof<To>() === 2 && isSigned<To>() ? F16.beyondNarrow(first, second) : F32.nan(first, second);
  }

  @inline
  static exact<To>(first: v128, second: v128): v128 {
    return isSigned<To>() ? F16.narrowExact(first, second) : BF16.narrowExact(first, second);
  }
}
