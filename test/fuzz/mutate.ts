/** Changes to the bytes of a real file: blind ones, and ones that know what lengths, numbers, names and zips look like. */
import { pick, type Random } from "./random.js";

type Mutator = (bytes: Buffer, random: Random, others: readonly Buffer[]) => Buffer;

/** Names and values that files have used against their readers. */
export const HOSTILE_TEXTS = [
  "",
  "..",
  "../outside/model.safetensors",
  "/etc/passwd",
  "C:\\x",
  "a\u0000b",
  "\u001b[2J",
  "\u202e",
  "__proto__",
  "constructor",
  "__metadata__",
  "e\u0301",
  "x".repeat(5000),
] as const;

const HOSTILE_NUMBERS = [
  ..."0 -0 -1 1.5 1e400 -1e400 1e15 255 65536 2147483648 4294967295 4294967296".split(" "),
  ..."9007199254740991 9007199254740992 18446744073709551615 99999999999999999999 NaN null [] {}".split(" "),
];

function replaced(bytes: Buffer, start: number, end: number, by: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, start), by, bytes.subarray(end)]);
}

function slice(bytes: Buffer, random: Random, most = 64): { start: number; end: number } {
  const start = random(bytes.length + 1);
  return { start, end: Math.min(bytes.length, start + 1 + random(most)) };
}

/** The places a pattern is at; a file is read as Latin-1, so that a place is a byte. */
function places(bytes: Buffer, pattern: RegExp): { start: number; end: number }[] {
  return Array.from(bytes.toString("latin1").matchAll(pattern), ({ index, 0: text }) => ({
    start: index,
    end: index + text.length,
  }));
}

function setUInt(bytes: Buffer, at: number, size: 1 | 2 | 4 | 8, value: bigint): Buffer {
  const changed = Buffer.from(bytes);
  for (let i = 0; i < size && at + i < changed.length; i++) {
    changed[at + i] = Number((BigInt.asUintN(64, value) >> BigInt(8 * i)) & 0xffn);
  }
  return changed;
}

function readUInt(bytes: Buffer, at: number, size: 1 | 2 | 4 | 8): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return value;
}

/** A number that may be a length, an offset or a count becomes a little wrong, huge, or negative. */
const wrongNumber: Mutator = (bytes, random) => {
  const size = pick(random, [1, 2, 4, 8] as const);
  let at = random(bytes.length);
  // Walks on to something that could be a length: not nothing, and not beyond the file.
  for (let tries = 0; tries < 64; tries++) {
    const value = readUInt(bytes, at, size);
    if (value > 0n && value <= BigInt(bytes.length)) break;
    at = random(bytes.length);
  }
  const value = readUInt(bytes, at, size);
  const length = BigInt(bytes.length);
  const wrong = [0n, value - 1n, value + 1n, value * 2n, length, length + 1n, -1n, 1n << 31n, 1n << 32n];
  return setUInt(bytes, at, size, pick(random, [...wrong, 1n << 53n, (1n << 63n) - 1n, 1n << 63n]));
};

const wrongDigits: Mutator = (bytes, random) => {
  const runs = places(bytes, /-?\d+(?:\.\d+)?/g);
  if (runs.length === 0) return wrongNumber(bytes, random, []);
  const { start, end } = pick(random, runs);
  return replaced(bytes, start, end, Buffer.from(pick(random, HOSTILE_NUMBERS)));
};

const wrongText: Mutator = (bytes, random) => {
  const texts = places(bytes, /"[^"\n]{0,200}"/g);
  if (texts.length === 0) return bitFlip(bytes, random, []);
  const { start, end } = pick(random, texts);
  return replaced(bytes, start, end, Buffer.from(JSON.stringify(pick(random, HOSTILE_TEXTS))));
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are bytes, read as Latin-1.
const ZIP_RECORD = /PK(?:\x01\x02|\x03\x04|\x05\x06|\x06[\x06\x07])/g;

/** Fields of the directory's entries and end records (APPNOTE 4.3.12, 4.3.16), and zip64's marks in their places. */
const wrongZipField: Mutator = (bytes, random) => {
  const records = places(bytes, ZIP_RECORD);
  if (records.length === 0) return wrongNumber(bytes, random, []);
  const at = pick(random, records).start + pick(random, [6, 8, 10, 12, 16, 18, 20, 22, 24, 26, 28, 30, 42]);
  const [size, value] = pick(random, [
    [2, 0xffffn],
    [2, 1n],
    [2, 8n],
    [4, 0xffffffffn],
    [4, 0n],
    [4, BigInt(random(bytes.length + 2))],
    [8, (1n << 64n) - 1n],
  ] as const);
  return setUInt(bytes, at, size, value);
};

const bitFlip: Mutator = (bytes, random) => {
  const changed = Buffer.from(bytes);
  const at = random(changed.length);
  if (changed.length > 0) changed[at] = (changed[at] ?? 0) ^ (1 << random(8));
  return changed;
};

const setByte: Mutator = (bytes, random) => {
  const changed = Buffer.from(bytes);
  if (changed.length > 0) changed[random(changed.length)] = pick(random, [0, 0x7f, 0x80, 0xff, random(256)]);
  return changed;
};

const truncate: Mutator = (bytes, random) => bytes.subarray(0, random(bytes.length + 1));

const remove: Mutator = (bytes, random) => {
  const { start, end } = slice(bytes, random);
  return replaced(bytes, start, end, Buffer.alloc(0));
};

const insert: Mutator = (bytes, random) => {
  const at = random(bytes.length + 1);
  const some = Buffer.from(Array.from({ length: 1 + random(16) }, () => random(256)));
  return replaced(bytes, at, at, some);
};

const duplicate: Mutator = (bytes, random) => {
  const { start, end } = slice(bytes, random, 512);
  const copies = Array.from({ length: 1 + random(pick(random, [2, 100])) }, () => bytes.subarray(start, end));
  const at = pick(random, [end, random(bytes.length + 1)]);
  return replaced(bytes, at, at, Buffer.concat(copies));
};

/** The head of one real file and the tail of another. */
const splice: Mutator = (bytes, random, others) => {
  const other = pick(random, others);
  return Buffer.concat([
    bytes.subarray(0, random(bytes.length + 1)),
    other.subarray(random(other.length + 1)),
  ]);
};

const MUTATORS = [
  ...[bitFlip, bitFlip, setByte, setByte, truncate, remove, insert, duplicate, splice],
  ...[wrongNumber, wrongNumber, wrongDigits, wrongText, wrongZipField],
];

/** One of `seeds`, changed in one to four ways. */
export function mutate(random: Random, seeds: readonly Buffer[]): Buffer {
  let bytes = pick(random, seeds);
  for (let changes = 1 + random(4); changes > 0; changes--) {
    bytes = pick(random, MUTATORS)(bytes, random, seeds);
  }
  return bytes;
}
