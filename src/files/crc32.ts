/** CRC-32 of a run of bytes from those of its parts: threads sum the parts with `zlib.crc32`, in any order. */

/** The polynomial, its highest power in the lowest bit (RFC 1952, section 8). */
const POLYNOMIAL = 0xedb88320;

/** 1 and x^8 in the same order of bits: what a checksum is multiplied by for no byte and for one. */
const ONE = 0x80000000;
const ONE_BYTE = 0x00800000;

/** The checksum of two runs, one behind the other, from those of each. That of no bytes is 0. */
export function joinCrc32(first: number, second: number, secondByteLength: number): number {
  return (multiply(first, shiftOf(secondByteLength)) ^ second) >>> 0;
}

/** x^(8 * byteLength), by squaring. */
function shiftOf(byteLength: number): number {
  let power = ONE;
  let square = ONE_BYTE;
  for (let left = byteLength; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) power = multiply(power, square);
    square = multiply(square, square);
  }
  return power;
}

/** Product of two polynomials modulo the one above. */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= shifted;
    shifted = (shifted & 1) === 0 ? shifted >>> 1 : (shifted >>> 1) ^ POLYNOMIAL;
  }
  return product >>> 0;
}
