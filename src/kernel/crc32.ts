/**
 * In: bytes, or the checksums of two runs of bytes. Out: the CRC-32 that zip, gzip and PNG use.
 * Guards: runs can be summed apart, in any thread, and joined: the result is that of the whole.
 */
import zlib from "node:zlib";

/** The polynomial, its highest power in the lowest bit (RFC 1952, section 8). */
const POLYNOMIAL = 0xedb88320;

/** 1 and x^8 in the same order of bits: what a checksum is multiplied by for no byte and for one. */
const ONE = 0x80000000;
const ONE_BYTE = 0x00800000;

/** Node has one, several times as fast, since 20.15 and 22.2; the table serves before that. */
export const crc32: (bytes: Uint8Array) => number =
  typeof zlib.crc32 === "function" ? (bytes) => zlib.crc32(bytes) : crc32ByTable;

/** Tables of the checksums of each byte with 0 to 7 zero bytes behind it, one after the other. */
const TABLES = makeTables();

/** The same checksum without Node's help, eight bytes at a time. */
export function crc32ByTable(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const behind = (zeros: number, byte: number) => TABLES[zeros * 256 + byte] as number;
  const wholeBytes = bytes.length - (bytes.length % 8);
  let rest = 0xffffffff;
  for (let at = 0; at < wholeBytes; at += 8) {
    const low = rest ^ view.getUint32(at, true);
    const high = view.getUint32(at + 4, true);
    rest =
      behind(7, low & 0xff) ^
      behind(6, (low >>> 8) & 0xff) ^
      behind(5, (low >>> 16) & 0xff) ^
      behind(4, low >>> 24) ^
      behind(3, high & 0xff) ^
      behind(2, (high >>> 8) & 0xff) ^
      behind(1, (high >>> 16) & 0xff) ^
      behind(0, high >>> 24);
  }
  for (let at = wholeBytes; at < bytes.length; at++) {
    rest = (rest >>> 8) ^ behind(0, (rest ^ view.getUint8(at)) & 0xff);
  }
  return ~rest >>> 0;
}

/** Words of 16 bytes that assembly/crc32.ts leaves. */
const KEPT_WORDS = 300;

/** Shorter runs aren't worth it. */
const LEAST_FOLDED_WORDS = 4 * KEPT_WORDS;

/** The checksum of a run in memory, most of which `fold` takes away first: see assembly/crc32.ts. */
export function crc32Folded(
  memory: Uint8Array,
  source: number,
  byteLength: number,
  scratch: number,
  fold: (source: number, words: number, scratch: number) => void,
): number {
  const words = Math.floor(byteLength / 16);
  if (words < LEAST_FOLDED_WORDS) return crc32(memory.subarray(source, source + byteLength));
  fold(source, words, scratch);
  const rest = memory.subarray(source + words * 16, source + byteLength);
  const kept = memory.subarray(scratch, scratch + KEPT_WORDS * 16 + rest.length);
  kept.set(rest, KEPT_WORDS * 16);
  // What is left begins with a remainder of 0, where the checksum of a run begins with ones.
  for (let i = 0; i < 4; i++) kept[i] = (kept[i] as number) ^ 0xff;
  return crc32(kept);
}

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
    shifted = timesX(shifted);
  }
  return product >>> 0;
}

function timesX(value: number): number {
  return (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ POLYNOMIAL;
}

function makeTables(): Uint32Array {
  const tables = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) rest = timesX(rest);
    tables[byte] = rest;
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256] as number;
    tables[at] = (before >>> 8) ^ (tables[before & 0xff] as number);
  }
  return tables;
}
