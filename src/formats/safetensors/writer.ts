/**
 * In: the tensors of one shard. Out: the bytes before its data, and where each tensor's data goes.
 * Guards: the file is byte for byte what `safetensors.torch.save_file(tensors, metadata={"format": "pt"})`
 * writes (safetensors/src/tensor.rs, `prepare`).
 */
import { ApplyDeltaError } from "../../errors.js";
import { byteLengthOf, compareNames, DTYPES, type DType } from "../../tensor.js";

export interface HeaderEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

export interface EncodedHeader<Entry extends HeaderEntry> {
  /** The eight length bytes, the JSON, the padding. */
  readonly bytes: Uint8Array;
  /** The entries in file order, each with the offset of its data from the start of the file. */
  readonly placed: readonly { entry: Entry; offsetBytes: number; byteLength: number }[];
  /** Length of the whole file. */
  readonly fileByteLength: number;
}

const LENGTH_BYTES = 8;

/** The format's own limit (`MAX_HEADER_SIZE`), padding included. */
const MAX_HEADER_BYTES = 100_000_000;

const METADATA_KEY = "__metadata__";

/**
 * Lays the tensors out as the reference writer does: widest dtype first, then names in byte order.
 * Errors: `not-a-state-dict` where a tensor has the one name the format keeps for itself; `header-too-long`.
 */
export function encodeSafetensorsHeader<Entry extends HeaderEntry>(
  entries: readonly Entry[],
): EncodedHeader<Entry> {
  const ordered = [...entries].sort(
    (a, b) => DTYPES.indexOf(b.dtype) - DTYPES.indexOf(a.dtype) || compareNames(a.name, b.name),
  );
  if (entries.some(({ name }) => name === METADATA_KEY)) {
    throw new ApplyDeltaError("not-a-state-dict", "No tensor of a safetensors file can have this name.", {
      tensor: METADATA_KEY,
      hint: "Rename the entry, or leave it out, where the checkpoint was saved.",
    });
  }
  // Built as text: an object would put names such as "0" first and lose `__proto__`.
  const fields = [`"${METADATA_KEY}":{"format":"pt"}`];
  let end = 0;
  const ranges = ordered.map((entry) => {
    const begin = end;
    end += byteLengthOf(entry);
    fields.push(
      `${JSON.stringify(entry.name)}:{"dtype":"${entry.dtype}","shape":[${entry.shape.join(",")}],"data_offsets":[${begin},${end}]}`,
    );
    return { entry, begin, byteLength: end - begin };
  });
  const json = Buffer.from(`{${fields.join(",")}}`, "utf8");
  if (json.length > MAX_HEADER_BYTES) {
    throw new ApplyDeltaError(
      "header-too-long",
      "The target's header would be longer than the format allows.",
      {
        expected: `at most ${MAX_HEADER_BYTES} bytes`,
        got: `${json.length} bytes`,
        hint: "No real model has names this long: get base and delta where they were released.",
      },
    );
  }
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(LENGTH_BYTES + padded, " ");
  bytes.writeBigUInt64LE(BigInt(padded), 0);
  json.copy(bytes, LENGTH_BYTES);
  const placed = ranges.map(({ entry, begin, byteLength }) => ({
    entry,
    offsetBytes: bytes.length + begin,
    byteLength,
  }));
  return { bytes, placed, fileByteLength: bytes.length + end };
}
