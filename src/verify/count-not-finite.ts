import { FORMAT_BITS } from "../kernel/reference.js";
import { bitsOf, blockElements, type FloatDType, isQuantizedDType, type QuantizedDType } from "../tensor.js";

/**
 * Counts NaN and infinities. `at` is a multiple of 8 within the buffer, which has four bytes for each that is begun.
 * Nearly always there are none, so whole words are looked at first, and elements only where a word holds one.
 */
export function countNotFinite(
  { buffer, byteOffset }: Uint8Array,
  dtype: FloatDType | QuantizedDType,
  at: number,
  count: number,
): { nan: number; infinite: number } {
  const start = byteOffset + at;
  if (isQuantizedDType(dtype)) return countBlocks(new DataView(buffer, start), dtype, count);
  if (dtype === "F64") return countDoubles(new Float64Array(buffer, start, count));
  const { magnitude, infinity, least } = FORMAT_BITS[dtype];
  const perWord = dtype === "F32" ? 1 : 2;
  // A half behind an odd count may raise a false alarm.
  const words = new Int32Array(buffer, start, Math.ceil(count / perWord));
  const inEach = perWord === 1 ? 1 : 0x10001;
  const counts = { nan: 0, infinite: 0 };
  if (!hasNotFinite(words, infinity * inEach, least * inEach)) return counts;
  for (const bits of perWord === 1 ? words : new Uint16Array(buffer, start, count)) {
    const size = bits & magnitude;
    if (size > infinity) counts.nan++;
    else if (size === infinity) counts.infinite++;
  }
  return counts;
}

/** A block whose scale isn't finite has no number that is. */
function countBlocks(
  view: DataView,
  dtype: QuantizedDType,
  count: number,
): { nan: number; infinite: number } {
  const counts = { nan: 0, infinite: 0 };
  const block = blockElements(dtype);
  for (let i = 0; i < count; i += block) {
    const size = view.getUint16((i * bitsOf(dtype)) / 8, true) & FORMAT_BITS.F16.magnitude;
    if (size > FORMAT_BITS.F16.infinity) counts.nan += block;
    else if (size === FORMAT_BITS.F16.infinity) counts.infinite += block;
  }
  return counts;
}

/** Adds their lowest bits to the exponents: those that are all ones carry into the sign. */
function hasNotFinite(words: Int32Array, exponents: number, lowestBits: number): boolean {
  const signs = ~exponents & (exponents << 1);
  let seen = 0;
  for (let i = 0; i < words.length; i++) seen |= ((words[i] as number) & exponents) + lowestBits;
  return (seen & signs) !== 0;
}

function countDoubles(values: Float64Array): { nan: number; infinite: number } {
  const counts = { nan: 0, infinite: 0 };
  for (const value of values) {
    if (Number.isNaN(value)) counts.nan++;
    else if (!Number.isFinite(value)) counts.infinite++;
  }
  return counts;
}
