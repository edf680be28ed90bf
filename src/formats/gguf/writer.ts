import { ApplyDeltaError } from "../../errors.js";
import { byteLengthOf } from "../../tensor.js";
import type { LayoutEntry, ShardLayout } from "../format.js";
import {
  ARRAY_CODE,
  codeOf,
  DEFAULT_ALIGNMENT,
  MAGIC,
  MAX_DIMENSIONS,
  MAX_NAME_BYTES,
  tensorCodeOf,
  VERSION,
} from "./constants.js";
import { HeaderBytes } from "./header-bytes.js";
import type { GgufEntry } from "./metadata.js";

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
  const header = new HeaderBytes();
  header.putBytes(Buffer.from(MAGIC, "latin1"));
  header.put("u32", VERSION);
  header.put("u64", BigInt(entries.length));
  header.put("u64", BigInt(metadata.length));
  for (const entry of metadata) putEntry(entry, header);
  for (const { entry, begin } of ranges) putTensorInfo(entry, begin, header);
  const dataStart = padded(header.length);
  const zeros = ranges.flatMap(({ begin, byteLength }) => {
    const offsetBytes = dataStart + begin + byteLength;
    const length = padded(byteLength) - byteLength;
    return length === 0 ? [] : [{ offsetBytes, bytes: new Uint8Array(length) }];
  });
  return {
    byteLength: dataStart + end,
    pieces: [{ offsetBytes: 0, bytes: header.paddedTo(dataStart) }, ...zeros],
    placed: ranges.map(({ entry, begin, byteLength }) => ({
      tensor: entry,
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
function putTensorInfo({ name, dtype, shape }: LayoutEntry, offsetBytes: number, header: HeaderBytes): void {
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
  header.put("string", name);
  header.put("u32", shape.length);
  for (const extent of shape.toReversed()) header.put("u64", BigInt(extent));
  header.put("u32", code);
  header.put("u64", BigInt(offsetBytes));
}

function putEntry(entry: GgufEntry, header: HeaderBytes): void {
  header.put("string", entry.key);
  if (entry.type !== "array") {
    header.put("u32", codeOf(entry.type));
    header.put(entry.type, entry.value);
    return;
  }
  header.put("u32", ARRAY_CODE);
  header.put("u32", codeOf(entry.items));
  header.put("u64", BigInt(entry.value.length));
  header.putAll(entry.items, entry.value);
}
