/**
 * Floating-point numbers for tests, by arithmetic on doubles and nothing of the kernels: rounding, encoding, decoding,
 * and normal random numbers that are the same in every run.
 *
 * The sum of two numbers of 24 bits or fewer, made in double and rounded once more, is the correctly rounded sum
 * (53 >= 2 * 24 + 2), so `roundTo(dtype, a + b)` is an oracle for F16, BF16 and F32.
 */
import { bytesOf, type FloatDType, type SumDType } from "../../src/tensor.js";

/** Significant bits, exponent of the least normal number, largest finite number. */
const FORMATS: Record<SumDType, { precision: number; leastExponent: number; largest: number }> = {
  F16: { precision: 11, leastExponent: -14, largest: 65504 },
  BF16: { precision: 8, leastExponent: -126, largest: (2 - 2 ** -7) * 2 ** 127 },
  F32: { precision: 24, leastExponent: -126, largest: (2 - 2 ** -23) * 2 ** 127 },
};

/** Adding and taking away 1.5 * 2^52 rounds a double to an integer, ties to even. */
const ROUNDER = 1.5 * 2 ** 52;

const scratch = new DataView(new ArrayBuffer(8));

function exponentOf(value: number): number {
  scratch.setFloat64(0, value);
  return ((scratch.getUint16(0) >> 4) & 0x7ff) - 1023;
}

const LEAST_POWER = -1074;

/** `**` takes most of a test's time where millions of numbers are made. */
const POWERS = Float64Array.from({ length: 1024 - LEAST_POWER }, (_, i) => 2 ** (i + LEAST_POWER));

function powerOfTwo(exponent: number): number {
  return POWERS[exponent - LEAST_POWER] as number;
}

/** The number of `dtype` nearest to `value`, ties to even; the sign of zero is kept. */
export function roundTo(dtype: SumDType, value: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const { precision, leastExponent, largest } = FORMATS[dtype];
  const unit = powerOfTwo(Math.max(exponentOf(value), leastExponent) - precision + 1);
  const rounded = (value / unit + ROUNDER - ROUNDER) * unit;
  if (rounded === 0) return value < 0 ? -0 : 0;
  return Math.abs(rounded) > largest ? Math.sign(rounded) * Number.POSITIVE_INFINITY : rounded;
}

/** As PyTorch converts: F64 goes to 16 bits by way of F32. */
export function convertTo(dtype: SumDType, from: FloatDType, value: number): number {
  return roundTo(dtype, from === "F64" ? roundTo("F32", value) : value);
}

function encodeF16(value: number): number {
  const sign = Object.is(value, -0) || value < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | (magnitude * 2 ** 24);
  const exponent = exponentOf(magnitude);
  return sign | ((exponent + 15) << 10) | ((magnitude / powerOfTwo(exponent) - 1) * 1024);
}

function decodeF16(bits: number): number {
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0
    ? sign * mantissa * 2 ** -24
    : sign * (1 + mantissa / 1024) * powerOfTwo(exponent - 15);
}

/** The bytes of numbers, each rounded to `dtype`. */
export function encodeNumbers(dtype: FloatDType, values: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(values.length * bytesOf(dtype));
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (dtype === "F64") view.setFloat64(i * 8, value, true);
    else if (dtype === "F32") view.setFloat32(i * 4, value, true);
    else if (dtype === "F16") view.setUint16(i * 2, encodeF16(roundTo("F16", value)), true);
    else {
      scratch.setFloat32(0, roundTo("BF16", value));
      view.setUint16(i * 2, scratch.getUint16(0), true);
    }
  }
  return bytes;
}

/** The numbers that bytes stand for. */
export function decodeNumbers(dtype: FloatDType, bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytesOf(dtype);
  const values = new Float64Array(bytes.length / size);
  for (let i = 0; i < values.length; i++) {
    if (dtype === "F64") values[i] = view.getFloat64(i * 8, true);
    else if (dtype === "F32") values[i] = view.getFloat32(i * 4, true);
    else if (dtype === "F16") values[i] = decodeF16(view.getUint16(i * 2, true));
    else {
      scratch.setUint32(0, view.getUint16(i * 2, true) << 16);
      values[i] = scratch.getFloat32(0);
    }
  }
  return values;
}

/** Standard normal numbers (Box and Muller) over mulberry32 (public domain, https://gist.github.com/tommyettinger). */
export function seededNormals(seed: number): () => number {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
