import { ApplyDeltaError } from "../../errors.js";
import { byteLengthOf, compareNames, DTYPES, type DType } from "../../tensor.js";
import type { LayoutEntry, ShardLayout } from "../format.js";
import { LENGTH_BYTES, MAX_HEADER_BYTES, METADATA_KEY } from "./header.js";

const rankOf = ({ dtype }: LayoutEntry) => (DTYPES as readonly DType[]).indexOf(dtype);

/**
 * Lays a file out, byte for byte as `safetensors.torch.save_file(tensors, metadata={"format": "pt"})` writes it
 * (safetensors/src/tensor.rs, `prepare`): widest dtype first, then names in byte order.
 * Errors: `not-a-state-dict` where a tensor has the one name the format keeps for itself; `header-too-long`.
 */
export function layOutSafetensors<Entry extends LayoutEntry>(entries: readonly Entry[]): ShardLayout<Entry> {
  const ordered = [...entries].sort((a, b) => rankOf(b) - rankOf(a) || compareNames(a.name, b.name));
  if (entries.some(({ name }) => name === METADATA_KEY)) {
    throw new ApplyDeltaError("not-a-state-dict", "No tensor of a safetensors file can have this name.", {
      tensor: METADATA_KEY,
      hint: "Rename the entry, or leave it out, where the checkpoint was saved.",
    });
  }
  // Built as text: an object would put names such as "0" first and lose `__proto__`.
  const fields = [`"${METADATA_KEY}":{"format":"pt"}`];
  let end = 0;
  const ranges = ordered.map((tensor) => {
    const begin = end;
    end += byteLengthOf(tensor);
    fields.push(
      `${JSON.stringify(tensor.name)}:{"dtype":"${tensor.dtype}","shape":[${tensor.shape.join(",")}],"data_offsets":[${begin},${end}]}`,
    );
    return { tensor, begin, byteLength: end - begin };
  });
  const json = Buffer.from(`{${fields.join(",")}}`, "utf8");
  if (json.length > MAX_HEADER_BYTES) {
    const message = "The target's header would be longer than the format allows.";
    throw new ApplyDeltaError("header-too-long", message, {
      expected: `at most ${MAX_HEADER_BYTES} bytes`,
      got: `${json.length} bytes`,
      hint: "No real model has names this long: get base and delta where they were released.",
    });
  }
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(LENGTH_BYTES + padded, " ");
  bytes.writeBigUInt64LE(BigInt(padded), 0);
  json.copy(bytes, LENGTH_BYTES);
  const placed = ranges.map(({ tensor, begin, byteLength }) => ({
    tensor,
    offsetBytes: bytes.length + begin,
    byteLength,
    checksumAt: [],
  }));
  return { byteLength: bytes.length + end, pieces: [{ offsetBytes: 0, bytes }], placed };
}
