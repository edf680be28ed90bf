/**
 * The reference kernel: the definition of the arithmetic, in loops over typed arrays. Every float is widened to F32,
 * added as F32 and rounded by integer operations on the F32's bits. Typed arrays are little-endian, as the files are, on
 * every platform that this project supports.
 */
import { bytesOf, type FloatDType, type QuantizedDType, type SumDType } from "../tensor.js";
import { checkBlocks, quantizeBlocks } from "./blocks.js";
import { CANONICAL_NAN, checkRange, type Kernel, type SumCounts } from "./kernel.js";

type Elements = Uint16Array | Uint32Array | Float64Array;

const F32_MAGNITUDE = 0x7fffffff;
const F32_INFINITY = 0x7f800000;
const F16_INFINITY = 0x7c00;
/** F32 bits of 65520, halfway from the greatest F16 to the next power of two: rounds to even, so to infinity. */
const F16_OVERFLOW = 0x477ff000;
/** F32 bits of 2^-14, the least normal F16. */
const F16_LEAST_NORMAL = 0x38800000;
/** F32 bits of 2^-25, half the least F16: rounds to even, so to zero. */
const F16_UNDERFLOW = 0x33000000;

/** F16 bits to F32 bits. */
function widenF16(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return (sign | F32_INFINITY | (mantissa << 13)) >>> 0;
  if (exponent > 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
  if (mantissa === 0) return sign >>> 0;
  // Subnormal: shift the leading one to bit 10, where it is implied.
  const shift = Math.clz32(mantissa) - 21;
  return (sign | ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13)) >>> 0;
}

/** F32 bits to F16 bits. */
function narrowToF16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & F32_MAGNITUDE;
  if (magnitude >= F16_LEAST_NORMAL) {
    if (magnitude > F32_INFINITY) return CANONICAL_NAN.F16;
    if (magnitude >= F16_OVERFLOW) return sign | F16_INFINITY;
    const odd = (magnitude >>> 13) & 1;
    return sign | ((magnitude - (112 << 23) + 0xfff + odd) >>> 13);
  }
  if (magnitude <= F16_UNDERFLOW) return sign;
  // Subnormal: the significand in units of 2^-24, its last `shift` bits rounded off.
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23);
  const odd = (significand >>> shift) & 1;
  return sign | ((significand + (1 << (shift - 1)) - 1 + odd) >>> shift);
}

/** F32 bits to BF16 bits. */
function narrowToBF16(bits: number): number {
  if ((bits & F32_MAGNITUDE) > F32_INFINITY) return CANONICAL_NAN.BF16;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The number that 16 bits are. */
export function valueOfF16(half: number): number {
  bits[0] = widenF16(half);
  return values[0] as number;
}

function toF16(value: number): number {
  values[0] = value;
  return narrowToF16(bits[0] as number);
}

interface FormatBits {
  /** All but the sign. */
  readonly magnitude: number;
  readonly infinity: number;
  /** 1.0 with the least exponent. */
  readonly least: number;
}

export const FORMAT_BITS: Record<SumDType, FormatBits> = {
  F16: { magnitude: 0x7fff, infinity: 0x7c00, least: 0x400 },
  BF16: { magnitude: 0x7fff, infinity: 0x7f80, least: 0x80 },
  F32: { magnitude: 0x7fffffff, infinity: 0x7f800000, least: 0x800000 },
};

/** Whether the lemma speaks of base and delta, given by their bits: see `SumCounts`. */
export function isComparable(
  { magnitude, infinity, least }: FormatBits,
  base: number,
  delta: number,
): boolean {
  const size = base & magnitude;
  return size < infinity && (delta & magnitude) + least <= size;
}

/** Conversions go through this many F32 at a time. */
const BLOCK = 1024;

/** F32 on their way, as numbers and as bits. */
const values = new Float32Array(BLOCK);
const bits = new Uint32Array(values.buffer);

export class ReferenceKernel implements Kernel {
  readonly name = "reference";
  readonly memory: Uint8Array;
  /** The F32 bits of every F16, and the same as numbers. */
  readonly #f16Bits = Uint32Array.from({ length: 0x10000 }, (_, half) => widenF16(half));
  readonly #f16Values = new Float32Array(this.#f16Bits.buffer);

  /** Has a memory of its own of exactly `memoryByteLength` bytes. */
  constructor(memoryByteLength: number) {
    this.memory = new Uint8Array(memoryByteLength);
  }

  convert(from: FloatDType, to: SumDType, source: number, destination: number, count: number): void {
    if (from === to) {
      checkRange(this.memory, from, source, count);
      checkRange(this.memory, to, destination, count);
      this.memory.copyWithin(destination, source, source + count * bytesOf(from));
      return;
    }
    const input = this.#elements(from, source, count);
    const output = this.#elements(to, destination, count);
    for (let start = 0; start < count; start += BLOCK) {
      widenBlock(from, input.subarray(start, start + BLOCK), this.#f16Bits);
      narrowBlock(to, output.subarray(start, start + BLOCK));
    }
    this.#flush(output, destination);
  }

  add(dtype: SumDType, base: number, delta: number, destination: number, count: number): SumCounts {
    return this.#combine(dtype, base, delta, destination, count, 1);
  }

  subtract(dtype: SumDType, tuned: number, base: number, destination: number, count: number): void {
    this.#combine(dtype, tuned, base, destination, count, -1);
  }

  quantize(to: QuantizedDType, source: number, destination: number, count: number): void {
    checkBlocks(to, count);
    checkRange(this.memory, to, destination, count);
    const { buffer, byteOffset, length } = this.#elements("F32", source, count);
    const output = this.memory.subarray(destination);
    quantizeBlocks(to, new Float32Array(buffer, byteOffset, length), output, toF16);
  }

  /** `first + sign * second`: the product is exact, and turns the sign of zeros, too. Counts as `add` does. */
  #combine(
    dtype: SumDType,
    first: number,
    second: number,
    destination: number,
    count: number,
    sign: 1 | -1,
  ): SumCounts {
    const result = this.#elements(dtype, destination, count);
    const a = this.#elements(dtype, first, count);
    const b = this.#elements(dtype, second, count);
    const counts =
      dtype === "F16" ? combineF16(a, b, result, sign, this.#f16Values) : COMBINE[dtype](a, b, result, sign);
    this.#flush(result, destination);
    return counts;
  }

  /** A view of the memory where the offset is aligned, else a copy. */
  #elements(dtype: FloatDType, offset: number, count: number): Elements {
    checkRange(this.memory, dtype, offset, count);
    const size = bytesOf(dtype);
    const aligned = offset % size === 0;
    const buffer = aligned ? this.memory.buffer : this.memory.slice(offset, offset + count * size).buffer;
    const start = aligned ? offset : 0;
    if (size === 8) return new Float64Array(buffer, start, count);
    return size === 4 ? new Uint32Array(buffer, start, count) : new Uint16Array(buffer, start, count);
  }

  /** Writes back what `#elements` copied; a view needs nothing. */
  #flush(destination: Elements, offset: number): void {
    if (destination.buffer !== this.memory.buffer)
      this.memory.set(new Uint8Array(destination.buffer), offset);
  }
}

/** Widens the source to `bits`, F64 rounded. */
function widenBlock(from: FloatDType, source: Elements, f16Bits: Uint32Array): void {
  const { length } = source;
  if (from === "F16") {
    for (let i = 0; i < length; i++) bits[i] = f16Bits[source[i] as number] as number;
  } else if (from === "BF16") {
    for (let i = 0; i < length; i++) bits[i] = (source[i] as number) << 16;
  } else if (from === "F32") {
    bits.set(source);
  } else {
    values.set(source);
    for (let i = 0; i < length; i++) if (Number.isNaN(values[i])) bits[i] = CANONICAL_NAN.F32;
  }
}

/** Rounds `bits` into the destination. */
function narrowBlock(to: SumDType, destination: Elements): void {
  const { length } = destination;
  if (to === "F16") {
    for (let i = 0; i < length; i++) destination[i] = narrowToF16(bits[i] as number);
  } else if (to === "BF16") {
    for (let i = 0; i < length; i++) destination[i] = narrowToBF16(bits[i] as number);
  } else {
    destination.set(bits.subarray(0, length));
  }
}

/** Widened operands and the rounded sum. The sum lies within a factor of two of the base, so this is exact. */
function isRounded(left: number, right: number, sum: number): boolean {
  return sum - left !== right;
}

type Combine = (a: Elements, b: Elements, result: Elements, sign: 1 | -1) => SumCounts;

const COMBINE: Record<"BF16" | "F32", Combine> = { BF16: combineBF16, F32: combineF32 };

function combineF16(
  a: Elements,
  b: Elements,
  result: Elements,
  sign: 1 | -1,
  f16Values: Float32Array,
): SumCounts {
  let inexact = 0;
  let notFinite = 0;
  for (let i = 0; i < result.length; i++) {
    const first = a[i] as number;
    const second = b[i] as number;
    const left = f16Values[first] as number;
    const right = sign * (f16Values[second] as number);
    values[0] = left + right;
    const sum = narrowToF16(bits[0] as number);
    result[i] = sum;
    if ((sum & 0x7fff) >= F16_INFINITY) notFinite++;
    if (isComparable(FORMAT_BITS.F16, first, second) && isRounded(left, right, f16Values[sum] as number))
      inexact++;
  }
  return { inexact, notFinite };
}

function combineBF16(a: Elements, b: Elements, result: Elements, sign: 1 | -1): SumCounts {
  let inexact = 0;
  let notFinite = 0;
  for (let i = 0; i < result.length; i++) {
    const first = a[i] as number;
    const second = b[i] as number;
    bits[0] = first << 16;
    bits[1] = second << 16;
    const left = values[0] as number;
    const right = sign * (values[1] as number);
    values[0] = left + right;
    const sum = narrowToBF16(bits[0] as number);
    result[i] = sum;
    bits[0] = sum << 16;
    if ((sum & 0x7fff) >= 0x7f80) notFinite++;
    if (isComparable(FORMAT_BITS.BF16, first, second) && isRounded(left, right, values[0] as number))
      inexact++;
  }
  return { inexact, notFinite };
}

function combineF32(a: Elements, b: Elements, result: Elements, sign: 1 | -1): SumCounts {
  let inexact = 0;
  let notFinite = 0;
  const out = new Float32Array(result.buffer, result.byteOffset, result.length);
  for (let i = 0; i < out.length; i++) {
    const first = a[i] as number;
    const second = b[i] as number;
    bits[0] = first;
    bits[1] = second;
    const left = values[0] as number;
    const right = sign * (values[1] as number);
    const value = left + right;
    if (Number.isNaN(value)) result[i] = CANONICAL_NAN.F32;
    else out[i] = value;
    const sum = out[i] as number;
    if (!Number.isFinite(sum)) notFinite++;
    if (isComparable(FORMAT_BITS.F32, first, second) && isRounded(left, right, sum)) inexact++;
  }
  return { inexact, notFinite };
}
