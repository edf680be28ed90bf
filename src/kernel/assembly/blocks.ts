/**
 * Quantizing to ggml's blocks: see `Kernel.quantize`, and `kernel/blocks.ts` for the definition. A block's 32 numbers
 * are loaded anew for each step: they are in the cache, and there are too many of them for the registers.
 */

// biome-ignore-all lint/complexity/noStaticOnlyClass: a decorator may stand on a method but not on a function

import { F16 } from "./f16";

/** Bytes of 32 F32, and of four. */
const BLOCK_BYTES: usize = 128;
const FOUR_BYTES: usize = 16;

const MAGNITUDE: i32 = 0x7fffffff;
const INFINITY: i32 = 0x7f800000;

export class Blocks {
  /** The bits of the largest magnitude, in all four lanes. */
  @inline
  static largest(source: usize): v128 {
    const magnitude = i32x4.splat(MAGNITUDE);
    let most = v128.and(v128.load(source), magnitude);
    for (let at = FOUR_BYTES; at < BLOCK_BYTES; at += FOUR_BYTES) {
      most = i32x4.max_s(most, v128.and(v128.load(source + at), magnitude));
    }
    most = i32x4.max_s(most, v128.shuffle<u32>(most, most, 2, 3, 0, 1));
    return i32x4.max_s(most, v128.shuffle<u32>(most, most, 1, 0, 3, 2));
  }

  /** The first number of this magnitude; a zero is +0, as for ggml. */
  @inline
  static firstOf(source: usize, magnitude: v128): f32 {
    const mask = i32x4.splat(MAGNITUDE);
    let four = source - FOUR_BYTES;
    let found: v128;
    do {
      four += FOUR_BYTES;
      found = i32x4.eq(v128.and(v128.load(four), mask), magnitude);
    } while (!v128.any_true(found));
    return load<f32>(four + 4 * ctz(i32x4.bitmask(found))) + 0;
  }

  /** What the numbers are multiplied by; 0 where that would not be finite. */
  @inline
  static inverse(scale: f32, largest: v128): f32 {
    const inverse: f32 = 1 / scale;
    const isUsable = abs(inverse) < Infinity && i32x4.extract_lane(largest, 0) < INFINITY;
    return isUsable ? inverse : 0;
  }

  @inline
  static storeScale(destination: usize, scale: f32): void {
    const four = f32x4.splat(scale);
    v128.store_lane<u16>(destination, F16.narrowExact(four, four), 0);
  }

  /** Four numbers times a factor, without their fractions; a NaN becomes 0. */
  @inline
  static whole(source: usize, factor: v128): v128 {
    return i32x4.trunc_sat_f32x4_s(f32x4.mul(v128.load(source), factor));
  }

  /** Eight numbers, rounded to the nearest integer, halves away from zero. `twice`: twice the factor. */
  @inline
  static round8(source: usize, twice: v128): v128 {
    const doubled = i16x8.narrow_i32x4_s(
      Blocks.whole(source, twice),
      Blocks.whole(source + FOUR_BYTES, twice),
    );
    const upward = i16x8.add(i16x8.splat(1), i16x8.shr_s(doubled, 15));
    return i16x8.shr_s(i16x8.add(doubled, upward), 1);
  }

  /** Sixteen numbers, rounded to the nearest integer, halves away from zero. */
  @inline
  static round16(source: usize, twice: v128): v128 {
    return i8x16.narrow_i16x8_s(Blocks.round8(source, twice), Blocks.round8(source + 2 * FOUR_BYTES, twice));
  }

  /** Four numbers times a factor, plus 8.5, without their fractions. */
  @inline
  static shifted4(source: usize, factor: v128): v128 {
    return i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(v128.load(source), factor), f32x4.splat(8.5)));
  }

  /** The same for sixteen numbers, and 15 at most. */
  @inline
  static shifted16(source: usize, factor: v128): v128 {
    const low = i16x8.narrow_i32x4_s(
      Blocks.shifted4(source, factor),
      Blocks.shifted4(source + FOUR_BYTES, factor),
    );
    const high = i16x8.narrow_i32x4_s(
      Blocks.shifted4(source + 2 * FOUR_BYTES, factor),
      Blocks.shifted4(source + 3 * FOUR_BYTES, factor),
    );
    return i8x16.min_u(i8x16.narrow_i16x8_u(low, high), i8x16.splat(15));
  }
}
