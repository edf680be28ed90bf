/** Numbers to try the kernels on, the same in every run: any bits, the edges of the format, or what models hold. */

import type { FloatDType } from "../../src/tensor.js";
import { type Bits, bitsFrom, emptyBits } from "./kernels-under-test.js";

/** A generator of 32 random bits a call: mulberry32, by Tommy Ettinger, public domain. */
export function randomBits(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** Every bit random: most blocks of F16 hold a huge number, an infinity or a NaN. */
export function anyNumbers(dtype: FloatDType, count: number, seed: number): Bits {
  const bits = emptyBits(dtype, count);
  const random = randomBits(seed);
  const bytes = new Uint8Array(bits.buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random();
  return bits;
}

const LAYOUT = {
  F16: { exponents: 0x20, mantissaBits: 10 },
  BF16: { exponents: 0x100, mantissaBits: 7 },
  F32: { exponents: 0x100, mantissaBits: 23 },
  F64: { exponents: 0x800, mantissaBits: 52 },
} as const;

/** Mantissa sizes of BF16, F16 (and its subnormals) and F32: where wider formats have ties. */
const TIES = [7, 9, 10, 23];

/** All exponents (so zeros, subnormals, infinities and NaN too) with mantissas at the edges, of both signs. */
export function edgeNumbers(dtype: FloatDType, ties = TIES): Bits {
  const { exponents, mantissaBits } = LAYOUT[dtype];
  const top = 1n << BigInt(mantissaBits);
  const mantissas = new Set([0n, 1n, 2n, top / 2n - 1n, top / 2n, top / 2n + 1n, top - 2n, top - 1n]);
  for (const kept of ties.filter((bits) => bits < mantissaBits)) {
    const unit = top >> BigInt(kept);
    for (const count of [0n, 1n, 2n, (1n << BigInt(kept)) - 1n]) {
      for (const near of [-1n, 0n, 1n]) mantissas.add(count * unit + unit / 2n + near);
    }
  }
  const values: bigint[] = [];
  for (let exponent = 0; exponent < exponents; exponent++) {
    for (const mantissa of mantissas) {
      const magnitude = BigInt(exponent) * top + mantissa;
      values.push(magnitude, magnitude + BigInt(exponents) * top);
    }
  }
  return bitsFrom(dtype, values);
}

/** `count` elements drawn from a pool. */
export function drawFrom(dtype: FloatDType, pool: Bits, count: number, seed: number): Bits {
  const random = randomBits(seed);
  const bits = emptyBits(dtype, count);
  for (let i = 0; i < count; i++) bits[i] = pool[random() % pool.length] as number & bigint;
  return bits;
}

/** Small numbers, subnormals of F16 among them, and no block that needs the exact way. */
export function smallNumbers(dtype: FloatDType, count: number, seed: number): Bits {
  const random = randomBits(seed);
  const wide = Float64Array.from({ length: count }, () => (random() / 2 ** 31 - 1) * 2 ** -(random() % 24));
  const integers = new BigUint64Array(wide.buffer);
  if (dtype === "F64") return integers;
  if (dtype === "F32") return new Uint32Array(Float32Array.from(wide).buffer);
  if (dtype === "BF16")
    return new Uint16Array(new Uint32Array(Float32Array.from(wide).buffer).map((b) => b >>> 16));
  // F16: sign, an exponent below 2^15, any mantissa.
  return Uint16Array.from({ length: count }, () => (random() & 0x83ff) | ((random() % 30) << 10));
}
