/**
 * The SIMD kernel: one exported function for each operation of `Kernel`, compiled by AssemblyScript. Parameters are
 * byte offsets into the imported memory, of any alignment, and a count of elements. No runtime and no data segments:
 * the memory belongs to the caller.
 *
 * All loops have one shape. The inner one takes blocks of eight elements the fast way until one holds a value that
 * the fast way can't do (infinity, NaN, near overflow) or the blocks end; the last block is then done again the
 * exact way, which is right in both cases. The test comes after the store, so that every constant is needed on
 * every path and V8 keeps it in a register outside the loop. A tail of less than eight goes by the exact way, one
 * element in all lanes at a time.
 */

import { Blocks } from "./blocks";
import { F16 } from "./f16";
import { BF16 } from "./f32";
import { Lanes } from "./lanes";
import { Narrowing } from "./narrowing";
import { BLOCK, Sums } from "./sums";

export function addF16(base: usize, delta: usize, destination: usize, count: usize): void {
  Sums.addF16<i16>(base, delta, destination, count);
}

export function addF16AsIs(base: usize, delta: usize, destination: usize, count: usize): void {
  Sums.addF16<f32>(base, delta, destination, count);
}

export function addBF16(base: usize, delta: usize, destination: usize, count: usize): void {
  Sums.addBF16(base, delta, destination, count);
}

export function addF32(base: usize, delta: usize, destination: usize, count: usize): void {
  Sums.addF32(base, delta, destination, count);
}

export function subtractF16(tuned: usize, base: usize, destination: usize, count: usize): void {
  Sums.subtractF16(tuned, base, destination, count);
}

export function subtractBF16(tuned: usize, base: usize, destination: usize, count: usize): void {
  Sums.subtractBF16(tuned, base, destination, count);
}

export function subtractF32(tuned: usize, base: usize, destination: usize, count: usize): void {
  Sums.subtractF32(tuned, base, destination, count);
}

export function convertF16ToF32(source: usize, destination: usize, count: usize): void {
  let blocks = count / BLOCK;
  while (blocks > 0) {
    let eight: v128;
    do {
      eight = v128.load(source);
      v128.store(destination, F16.widenLow(eight));
      v128.store(destination, F16.widenHigh(eight), 16);
      source += 16;
      destination += 32;
      blocks--;
    } while (blocks > 0 && !v128.any_true(F16.beyondFinite(eight)));
    v128.store(destination - 32, F16.widenLowExact(eight));
    v128.store(destination - 16, F16.widenLowExact(Lanes.upper(eight)));
  }
  for (let rest = count % BLOCK; rest > 0; rest--) {
    v128.store_lane<u32>(destination, F16.widenLowExact(v128.load_splat<u16>(source)), 0);
    source += 2;
    destination += 4;
  }
}

export function convertF16ToBF16(source: usize, destination: usize, count: usize): void {
  let blocks = count / BLOCK;
  while (blocks > 0) {
    let eight: v128;
    do {
      eight = v128.load(source);
      v128.store(destination, BF16.narrow(F16.widenLow(eight), F16.widenHigh(eight)));
      source += 16;
      destination += 16;
      blocks--;
    } while (blocks > 0 && !v128.any_true(F16.beyondFinite(eight)));
    const second = F16.widenLowExact(Lanes.upper(eight));
    v128.store(destination - 16, BF16.narrowExact(F16.widenLowExact(eight), second));
  }
  for (let rest = count % BLOCK; rest > 0; rest--) {
    const wide = F16.widenLowExact(v128.load_splat<u16>(source));
    v128.store_lane<u16>(destination, BF16.narrowExact(wide, wide), 0);
    source += 2;
    destination += 2;
  }
}

export function convertBF16ToF32(source: usize, destination: usize, count: usize): void {
  for (let blocks = count / BLOCK; blocks > 0; blocks--) {
    const eight = v128.load(source);
    v128.store(destination, BF16.widenLow(eight));
    v128.store(destination, BF16.widenHigh(eight), 16);
    source += 16;
    destination += 32;
  }
  for (let rest = count % BLOCK; rest > 0; rest--) {
    store<u32>(destination, (<u32>load<u16>(source)) << 16);
    source += 2;
    destination += 4;
  }
}

export function convertBF16ToF16(source: usize, destination: usize, count: usize): void {
  Narrowing.convert<u16, i16>(source, destination, count);
}

export function convertF32ToF16(source: usize, destination: usize, count: usize): void {
  Narrowing.convert<f32, i16>(source, destination, count);
}

export function convertF32ToBF16(source: usize, destination: usize, count: usize): void {
  Narrowing.convert<f32, u16>(source, destination, count);
}

export function convertF64ToF16(source: usize, destination: usize, count: usize): void {
  Narrowing.convert<f64, i16>(source, destination, count);
}

export function convertF64ToBF16(source: usize, destination: usize, count: usize): void {
  Narrowing.convert<f64, u16>(source, destination, count);
}

export function convertF64ToF32(source: usize, destination: usize, count: usize): void {
  Narrowing.convert<f64, f32>(source, destination, count);
}

export function quantizeQ8_0(source: usize, destination: usize, count: usize): void {
  for (let blocks = count / 32; blocks > 0; blocks--) {
    const largest = Blocks.largest(source);
    const scale: f32 = f32x4.extract_lane(largest, 0) / 127;
    const twice = f32x4.splat(2 * Blocks.inverse(scale, largest));
    Blocks.storeScale(destination, scale);
    v128.store(destination, Blocks.round16(source, twice), 2);
    v128.store(destination, Blocks.round16(source + 64, twice), 18);
    source += 128;
    destination += 34;
  }
}

export function quantizeQ4_0(source: usize, destination: usize, count: usize): void {
  for (let blocks = count / 32; blocks > 0; blocks--) {
    const largest = Blocks.largest(source);
    const scale: f32 = Blocks.firstOf(source, largest) / -8;
    const factor = f32x4.splat(Blocks.inverse(scale, largest));
    const high = i16x8.shl(Blocks.shifted16(source + 64, factor), 4);
    Blocks.storeScale(destination, scale);
    v128.store(destination, v128.or(Blocks.shifted16(source, factor), high), 2);
    source += 128;
    destination += 18;
  }
}

export { inexact, notFinite } from "./sums";
