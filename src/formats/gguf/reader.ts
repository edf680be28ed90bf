/**
 * Reads a GGUF's header: keys, tensors and where they lie. Every rule of ggml's own reader is checked (`gguf.cpp`), so
 * no file that is read here is refused there, and what a crafted file may ask for is bounded.
 */
import { ApplyDeltaError, type ErrorCode, type ErrorDetails } from "../../errors.js";
import { blockElements, byteLengthOf, type RandomAccessFile, type TensorView } from "../../tensor.js";
import { assertEnd, type LayoutEntry } from "../format.js";
import type { HeaderReader } from "../header-reader.js";
import {
  ALIGNMENT_KEY,
  DEFAULT_ALIGNMENT,
  MAGIC,
  MAX_DIMENSIONS,
  MAX_NAME_BYTES,
  READABLE_VERSIONS,
  tensorTypeOf,
} from "./constants.js";
import { HeaderCursor } from "./header-cursor.js";
import type { GgufEntry } from "./metadata.js";
import { readEntry } from "./read-entry.js";

/** Stops a count that a few bytes claim; the largest models have some 2,000 tensors and 60 keys. */
const MAX_TENSORS = 2 ** 16;
const MAX_KEYS = 2 ** 16;

/** Of an alignment: its padding is read as a part of the header. */
const MAX_ALIGNMENT = 2 ** 16;

export interface GgufHeader<File extends RandomAccessFile = RandomAccessFile> {
  /** In the order of the file. */
  readonly metadata: readonly GgufEntry[];
  /** In the order of their data. */
  readonly tensors: readonly TensorView<File>[];
  /** Where the tensors' data begins. */
  readonly dataStart: number;
}

/**
 * Errors: `truncated-file`, `too-large`, `header-malformed`, `big-endian`, `unsupported-dtype`,
 * `duplicate-tensor`, `wrong-size`, `data-hole`, `data-overlap`, `overlong-file`.
 */
export async function readGguf<File extends RandomAccessFile>(
  file: HeaderReader<File>,
): Promise<GgufHeader<File>> {
  const cursor = new HeaderCursor(file);
  const { tensorCount, keyCount } = await readCounts(cursor);
  const metadata = new Map<string, GgufEntry>();
  for (let i = 0; i < keyCount; i++) {
    const entry = await readEntry(cursor);
    if (metadata.has(entry.key))
      throw cursor.malformed(`the key ${JSON.stringify(entry.key)} is there twice`);
    metadata.set(entry.key, entry);
  }
  const alignment = alignmentOf(metadata.get(ALIGNMENT_KEY), cursor);
  const places: Place[] = [];
  for (let i = 0; i < tensorCount; i++) places.push(await readTensorInfo(cursor));
  const dataStart = pad(cursor.position, alignment);
  checkPlaces(places, { file, dataStart, alignment });
  const tensors = places.map((place) => file.view({ ...place, offsetBytes: dataStart + place.begin }));
  return { metadata: [...metadata.values()], tensors, dataStart };
}

async function readCounts(cursor: HeaderCursor): Promise<{ tensorCount: number; keyCount: number }> {
  await cursor.need(24);
  const magic = cursor.bytes(MAGIC.length);
  if (magic.toString("latin1") !== MAGIC) throw cursor.malformed(`it doesn't begin with ${MAGIC}`);
  const version = cursor.number("u32");
  if (!READABLE_VERSIONS.includes(version)) throw badVersion(version, cursor);
  const tensorCount = cursor.bigInt("u64");
  const keyCount = cursor.bigInt("u64");
  if (tensorCount > MAX_TENSORS || keyCount > MAX_KEYS) {
    throw cursor.malformed(`it claims ${tensorCount} tensors and ${keyCount} keys`);
  }
  return { tensorCount: Number(tensorCount), keyCount: Number(keyCount) };
}

function badVersion(version: number, cursor: HeaderCursor): ApplyDeltaError {
  const isSwapped = (version & 0xffff) === 0;
  return isSwapped
    ? cursor.refusal("big-endian", "The GGUF was written for a big-endian machine.", {
        hint: "Convert it with gguf-py's gguf_convert_endian.py, or get the usual file.",
      })
    : cursor.refusal("header-malformed", "This version of GGUF is unknown.", {
        expected: `version ${READABLE_VERSIONS.join(" or ")}`,
        got: version,
        hint: "Get the model in a newer GGUF, or convert it again with llama.cpp.",
      });
}

function alignmentOf(entry: GgufEntry | undefined, cursor: HeaderCursor): number {
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const { type, value } = entry;
  const isPower = type === "u32" && value > 0 && value <= MAX_ALIGNMENT && (value & (value - 1)) === 0;
  if (isPower) return value;
  throw cursor.malformed(`${ALIGNMENT_KEY} is not a power of two of at most ${MAX_ALIGNMENT}, as u32`);
}

function pad(length: number, alignment: number): number {
  return Math.ceil(length / alignment) * alignment;
}

interface Place extends LayoutEntry {
  /** From the start of all data. */
  readonly begin: number;
}

async function readTensorInfo(cursor: HeaderCursor): Promise<Place> {
  const name = await cursor.string();
  if (name === "" || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw cursor.malformed(`a tensor's name is empty or longer than ${MAX_NAME_BYTES} bytes`);
  }
  await cursor.need(4);
  const rank = cursor.number("u32");
  if (rank > MAX_DIMENSIONS) throw cursor.malformed(`a tensor has ${rank} dimensions`, name);
  await cursor.need(8 * rank + 12);
  const extents = Array.from({ length: rank }, () => Number(cursor.bigInt("u64")));
  const code = cursor.number("u32");
  const begin = Number(cursor.bigInt("u64"));
  const dtype = tensorTypeOf(code);
  if (dtype === undefined) {
    throw cursor.refusal("unsupported-dtype", `The tensor type ${code} is unknown.`, {
      tensor: name,
      hint: "It is newer than this program, or the file is damaged: download it again.",
    });
  }
  const shape = extents.reverse();
  // Partial products, too: an extent of 0 hides nothing.
  const product = shape.reduce((sum, extent) => sum * Math.max(1, extent), 1);
  if (!Number.isSafeInteger(product * 8)) throw cursor.malformed("a tensor's size is beyond any file", name);
  if ((shape.at(-1) ?? 1) % blockElements(dtype) !== 0) {
    throw cursor.refusal("wrong-size", "A row of a tensor isn't whole blocks.", {
      tensor: name,
      expected: `rows of a multiple of ${blockElements(dtype)} elements for ${dtype}`,
      got: `[${shape.join(", ")}]`,
    });
  }
  return { name, dtype, shape, begin };
}

interface DataRange {
  readonly file: RandomAccessFile;
  readonly dataStart: number;
  readonly alignment: number;
}

/** Each tensor begins where the one before it ends, padded; the padding of the last may be left out. */
function checkPlaces(places: readonly Place[], { file, dataStart, alignment }: DataRange): void {
  const refusal = (code: ErrorCode, message: string, details: ErrorDetails) =>
    new ApplyDeltaError(code, message, { file: file.path, ...details });
  const names = new Set<string>();
  let end = 0;
  for (const place of places) {
    const { name, begin } = place;
    if (names.has(name))
      throw refusal("duplicate-tensor", "A tensor is in the file twice.", { tensor: name });
    names.add(name);
    const expected = pad(end, alignment);
    if (begin !== expected) {
      const [code, what]: [ErrorCode, string] =
        begin > expected ? ["data-hole", "leaves a hole after"] : ["data-overlap", "overlaps"];
      throw refusal(code, `A tensor's data ${what} the one before it.`, {
        tensor: name,
        expected: `offset ${expected}`,
        got: `offset ${begin}`,
      });
    }
    end = begin + byteLengthOf(place);
  }
  assertEnd(file, dataStart + end, dataStart + pad(end, alignment));
}
