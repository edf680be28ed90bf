import { ApplyDeltaError } from "../../errors.js";
import { byteLengthOf } from "../../tensor.js";
import type { LayoutEntry, ShardLayout } from "../format.js";
import {
  ARRAY_CODE,
  BIG_INTS,
  codeOf,
  DEFAULT_ALIGNMENT,
  isBigIntType,
  isNumberType,
  MAGIC,
  MAX_DIMENSIONS,
  MAX_NAME_BYTES,
  NUMBERS,
  tensorCodeOf,
  VERSION,
} from "./constants.js";
import type { GgufEntry, GgufScalarType } from "./metadata.js";

/**
 * Lays a file out as gguf-py's writer does: keys in their order, tensors in theirs, each padded to the alignment, the
 * last one too. Errors: `not-a-state-dict` where llama.cpp can't hold a tensor's name, rank or dtype.
 */
export function layOutGguf<Entry extends LayoutEntry>(
  entries: readonly Entry[],
  metadata: readonly GgufEntry[],
): ShardLayout<Entry> {
  let end = 0;
  const ranges = entries.map((entry) => {
    const begin = end;
    const byteLength = byteLengthOf(entry);
    end = padded(begin + byteLength);
    return { entry, begin, byteLength };
  });
  const header = Buffer.concat([
    Buffer.from(MAGIC, "latin1"),
    encodeScalar("u32", VERSION),
    encodeScalar("u64", BigInt(entries.length)),
    encodeScalar("u64", BigInt(metadata.length)),
    ...metadata.map(encodeEntry),
    ...ranges.map(({ entry, begin }) => encodeTensorInfo(entry, begin)),
  ]);
  const dataStart = padded(header.length);
  const zeros = ranges.flatMap(({ begin, byteLength }) => {
    const offsetBytes = dataStart + begin + byteLength;
    const length = padded(byteLength) - byteLength;
    return length === 0 ? [] : [{ offsetBytes, bytes: new Uint8Array(length) }];
  });
  const padding = Buffer.alloc(dataStart - header.length);
  return {
    byteLength: dataStart + end,
    pieces: [{ offsetBytes: 0, bytes: Buffer.concat([header, padding]) }, ...zeros],
    placed: ranges.map(({ entry, begin, byteLength }) => ({
      entry,
      offsetBytes: dataStart + begin,
      byteLength,
      checksumAt: [],
    })),
  };
}

function padded(length: number): number {
  return Math.ceil(length / DEFAULT_ALIGNMENT) * DEFAULT_ALIGNMENT;
}

/** Dimensions stand in ggml's order: the length of a row first. */
function encodeTensorInfo({ name, dtype, shape }: LayoutEntry, offsetBytes: number): Buffer {
  const code = tensorCodeOf(dtype);
  const isHeld = shape.length <= MAX_DIMENSIONS && Buffer.byteLength(name) <= MAX_NAME_BYTES;
  if (code === undefined || !isHeld) {
    throw new ApplyDeltaError("not-a-state-dict", "llama.cpp can't load such a tensor.", {
      tensor: name,
      expected: `a name of at most ${MAX_NAME_BYTES} bytes, ${MAX_DIMENSIONS} dimensions, a dtype of ggml's`,
      got: `${dtype} [${shape.join(", ")}]`,
      hint: "Write the model with --format safetensors.",
    });
  }
  return Buffer.concat([
    encodeString(name),
    encodeScalar("u32", shape.length),
    ...shape.toReversed().map((extent) => encodeScalar("u64", BigInt(extent))),
    encodeScalar("u32", code),
    encodeScalar("u64", BigInt(offsetBytes)),
  ]);
}

function encodeEntry(entry: GgufEntry): Buffer {
  const key = encodeString(entry.key);
  if (entry.type !== "array") {
    return Buffer.concat([
      key,
      encodeScalar("u32", codeOf(entry.type)),
      encodeScalar(entry.type, entry.value),
    ]);
  }
  return Buffer.concat([
    key,
    encodeScalar("u32", ARRAY_CODE),
    encodeScalar("u32", codeOf(entry.items)),
    encodeScalar("u64", BigInt(entry.value.length)),
    ...entry.value.map((item) => encodeScalar(entry.items, item)),
  ]);
}

/** The value is one of the type's: `GgufEntry` says which. */
function encodeScalar(type: GgufScalarType, value: number | bigint | boolean | string): Buffer {
  if (type === "string") return encodeString(value as string);
  if (type === "bool") return Buffer.of(value ? 1 : 0);
  if (isBigIntType(type)) {
    const { bytes, method } = BIG_INTS[type];
    const encoded = new DataView(new ArrayBuffer(bytes));
    encoded[`set${method}`](0, value as bigint, true);
    return Buffer.from(encoded.buffer);
  }
  if (!isNumberType(type)) throw new Error(`no such type: ${type}`);
  const { bytes, method } = NUMBERS[type];
  const encoded = new DataView(new ArrayBuffer(bytes));
  encoded[`set${method}`](0, value as number, true);
  return Buffer.from(encoded.buffer);
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  return Buffer.concat([encodeScalar("u64", BigInt(bytes.length)), bytes]);
}
