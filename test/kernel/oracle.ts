/**
 * What the kernels must give, worked out slowly: integers of any size for the exact value, one rounding.
 * Written from IEEE 754's definition of rounding (the
 * exact result, to the nearest representable number, ties to the even one), not from the kernels' algorithms.
 */

import type { SumCounts } from "../../src/kernel/kernel.js";
import type { FloatDType, SumDType } from "../../src/tensor.js";

interface Format {
  readonly mantissaBits: number;
  readonly bias: number;
  /** Exponent field of infinities and NaN. */
  readonly specialExponent: number;
}

const FORMATS: Record<FloatDType, Format> = {
  F16: { mantissaBits: 10, bias: 15, specialExponent: 0x1f },
  BF16: { mantissaBits: 7, bias: 127, specialExponent: 0xff },
  F32: { mantissaBits: 23, bias: 127, specialExponent: 0xff },
  F64: { mantissaBits: 52, bias: 1023, specialExponent: 0x7ff },
};

const NAN_BITS: Record<SumDType, number> = { F16: 0x7e00, BF16: 0x7fc0, F32: 0x7fc00000 };

/** A number as sign and magnitude; a finite magnitude is an integer in units of 2^-unit of its format. */
interface Value {
  readonly negative: boolean;
  readonly magnitude: bigint | "infinite" | "nan";
}

/** The least subnormal of the format is 2^-unit. */
function unitOf(format: Format): number {
  return format.bias - 1 + format.mantissaBits;
}

function decode(format: Format, bits: bigint): Value {
  const mantissaBits = BigInt(format.mantissaBits);
  const exponent = Number((bits >> mantissaBits) & BigInt(format.specialExponent));
  const mantissa = bits & ((1n << mantissaBits) - 1n);
  const negative = bits >> mantissaBits > BigInt(format.specialExponent);
  if (exponent === format.specialExponent) return { negative, magnitude: mantissa ? "nan" : "infinite" };
  if (exponent === 0) return { negative, magnitude: mantissa };
  return { negative, magnitude: (mantissa | (1n << mantissaBits)) << BigInt(exponent - 1) };
}

function bitLength(magnitude: bigint): number {
  const digits = magnitude.toString(16);
  return digits.length * 4 - (Math.clz32(Number.parseInt(digits.charAt(0), 16)) - 28);
}

/** The bits of the number of `dtype` nearest to a value in units of 2^-unit. */
function round(dtype: SumDType, { negative, magnitude }: Value, unit: number): number {
  const { mantissaBits, bias, specialExponent } = FORMATS[dtype];
  const sign = negative ? 2 ** (mantissaBits + Math.log2(specialExponent + 1)) : 0;
  const infinity = specialExponent * 2 ** mantissaBits;
  if (magnitude === "nan") return NAN_BITS[dtype];
  if (magnitude === "infinite") return sign + infinity;
  if (magnitude === 0n) return sign;
  const leastExponent = 1 - bias;
  const exponent = Math.max(bitLength(magnitude) - 1 - unit, leastExponent);
  // The last mantissa bit is worth 2^drop of the magnitude's units.
  const drop = exponent - mantissaBits + unit;
  let kept: bigint;
  if (drop <= 0) {
    kept = magnitude << BigInt(-drop);
  } else {
    kept = magnitude >> BigInt(drop);
    const rest = magnitude - (kept << BigInt(drop));
    const half = 1n << BigInt(drop - 1);
    if (rest > half || (rest === half && kept % 2n === 1n)) kept += 1n;
  }
  return sign + Math.min((exponent - leastExponent) * 2 ** mantissaBits + Number(kept), infinity);
}

/** The bits of base + delta, all of `dtype`, rounded once. */
export function sumBits(dtype: SumDType, base: number, delta: number): number {
  const format = FORMATS[dtype];
  const unit = unitOf(format);
  const a = decode(format, BigInt(base));
  const b = decode(format, BigInt(delta));
  if (a.magnitude === "nan" || b.magnitude === "nan") return NAN_BITS[dtype];
  if (typeof a.magnitude === "string" || typeof b.magnitude === "string") {
    if (a.magnitude === b.magnitude && a.negative !== b.negative) return NAN_BITS[dtype];
    return typeof a.magnitude === "string" ? base : delta;
  }
  const sum = (a.negative ? -a.magnitude : a.magnitude) + (b.negative ? -b.magnitude : b.magnitude);
  const negative = sum === 0n ? a.negative && b.negative : sum < 0n;
  return round(dtype, { negative, magnitude: sum < 0n ? -sum : sum }, unit);
}

/** What a kernel counts of one sum, whose bits may be at hand: see `SumCounts`. */
export function sumCounts(
  dtype: SumDType,
  base: number,
  delta: number,
  bitsOfSum = sumBits(dtype, base, delta),
): SumCounts {
  const format = FORMATS[dtype];
  const [a, b, sum] = [base, delta, bitsOfSum].map((bits) => decode(format, BigInt(bits))) as [
    Value,
    Value,
    Value,
  ];
  const notFinite = typeof sum.magnitude === "string" ? 1 : 0;
  if (typeof a.magnitude === "string" || typeof b.magnitude === "string") return { inexact: 0, notFinite };
  const sign = 2 ** (dtype === "F32" ? 31 : 15);
  const isComparable = (delta % sign) + 2 ** format.mantissaBits <= base % sign;
  const signed = ({ negative, magnitude }: Value) => (negative ? -1n : 1n) * (magnitude as bigint);
  const isExact = typeof sum.magnitude === "bigint" && signed(sum) === signed(a) + signed(b);
  return { inexact: isComparable && !isExact ? 1 : 0, notFinite };
}

/** The bits of tuned - base: of the sum with the base's sign turned. */
export function differenceBits(dtype: SumDType, tuned: number, base: number): number {
  const sign = dtype === "F32" ? 2 ** 31 : 2 ** 15;
  return sumBits(dtype, tuned, base < sign ? base + sign : base - sign);
}

/** What each operation of a kernel must give. */
export const ORACLE = { add: sumBits, subtract: differenceBits } as const;

/** The bits of a number of dtype `from` as dtype `to`; F64 by way of F32, and a widened NaN keeps its payload. */
export function convertBits(from: FloatDType, to: SumDType, bits: number | bigint): number {
  if (from === to) return Number(bits);
  if (from === "F64" && to !== "F32") return convertBits("F32", to, convertBits("F64", "F32", bits));
  const value = decode(FORMATS[from], BigInt(bits));
  if (to === "F32" && value.magnitude === "nan" && from !== "F64") {
    const payload = Number(bits) % 2 ** FORMATS[from].mantissaBits;
    return (value.negative ? 2 ** 31 : 0) + 0x7f800000 + payload * 2 ** (23 - FORMATS[from].mantissaBits);
  }
  return round(to, value, unitOf(FORMATS[from]));
}
