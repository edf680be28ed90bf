/**
 * ggml's block types as numbers: the definition of quantizing, which the SIMD kernel repeats, and the way back. All
 * steps are in float32, as in ggml-quants.c (`quantize_row_q8_0_ref`, `quantize_row_q4_0_ref`) and in gguf-py's
 * quants.py. Where the factor 1 / d isn't finite, which those leave to the machine, it is 0 here.
 */
import { bitsOf, blockElements, type QuantizedDType } from "../tensor.js";

/** Elements of a block of either type. */
const BLOCK = 32;

/** Bytes of the scale, an F16, before a block's numbers. */
const SCALE_BYTES = 2;

const sizeOf = (dtype: QuantizedDType) => (BLOCK * bitsOf(dtype)) / 8;

/** Throws a RangeError unless the elements are whole blocks. */
export function checkBlocks(dtype: QuantizedDType, count: number): void {
  if (count % blockElements(dtype) !== 0) throw new RangeError(`${count} ${dtype} aren't whole blocks`);
}

/** Quantizes whole blocks. `narrow`: an F32 to the bits of an F16. */
export function quantizeBlocks(
  to: QuantizedDType,
  source: Float32Array,
  destination: Uint8Array,
  narrow: (value: number) => number,
): void {
  const size = sizeOf(to);
  const quantize = to === "Q8_0" ? quantizeQ8 : quantizeQ4;
  for (let i = 0; i * BLOCK < source.length; i++) {
    const block = destination.subarray(i * size, (i + 1) * size);
    const scale = narrow(quantize(source.subarray(i * BLOCK, (i + 1) * BLOCK), block.subarray(SCALE_BYTES)));
    block[0] = scale & 0xff;
    block[1] = scale >>> 8;
  }
}

/** The first number of the largest magnitude; a NaN is larger than any other. */
function largestOf(numbers: Float32Array): number {
  let largest = 0;
  for (const number of numbers) {
    if (Math.abs(number) > Math.abs(largest) || Number.isNaN(number)) largest = number;
    if (Number.isNaN(largest)) return largest;
  }
  return largest;
}

/** What a block's numbers are multiplied by. */
function inverseOf(scale: number): number {
  const inverse = Math.fround(1 / scale);
  return Number.isFinite(inverse) && Number.isFinite(scale) ? inverse : 0;
}

/** Gives the scale. A byte a number: the nearest integer, halves away from zero. */
function quantizeQ8(numbers: Float32Array, bytes: Uint8Array): number {
  const scale = Math.fround(Math.abs(largestOf(numbers)) / 127);
  const inverse = inverseOf(scale);
  for (let i = 0; i < BLOCK; i++) {
    const number = Math.fround((numbers[i] as number) * inverse);
    bytes[i] = Math.sign(number) * Math.round(Math.abs(number));
  }
  return scale;
}

/** Gives the scale. Half a byte a number: the low halves hold the first sixteen, the high halves the others. */
function quantizeQ4(numbers: Float32Array, bytes: Uint8Array): number {
  const scale = Math.fround(largestOf(numbers) / -8);
  const inverse = inverseOf(scale);
  const quantum = (i: number) => {
    const number = Math.fround((numbers[i] as number) * inverse);
    return Math.min(15, Math.trunc(Math.fround(number + 8.5))) || 0;
  };
  for (let i = 0; i < BLOCK / 2; i++) bytes[i] = quantum(i) | (quantum(i + BLOCK / 2) << 4);
  return scale;
}

/** Gives whole blocks back as F32. `widen`: the bits of an F16 to its value. */
export function dequantizeBlocks(
  from: QuantizedDType,
  source: Uint8Array,
  destination: Float32Array,
  widen: (bits: number) => number,
): void {
  const size = sizeOf(from);
  for (let at = 0, out = 0; out < destination.length; at += size, out += BLOCK) {
    const scale = widen((source[at] as number) | ((source[at + 1] as number) << 8));
    for (let i = 0; i < BLOCK; i++) {
      const quantum =
        from === "Q8_0"
          ? ((source[at + SCALE_BYTES + i] as number) << 24) >> 24
          : (((source[at + SCALE_BYTES + (i % 16)] as number) >>> (i < 16 ? 0 : 4)) & 0xf) - 8;
      destination[out + i] = scale * quantum;
    }
  }
}
