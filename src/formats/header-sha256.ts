import { createHash } from "node:crypto";
import {
  bitsOf,
  type DType,
  elementCount,
  type RandomAccessFile,
  type TensorPiece,
  type TensorView,
} from "../tensor.js";

/** Of either end, no more than this is digested: a header's own limit; stops a file with one tensor far inside. */
const MAX_END_BYTES = 100_000_000;

/** Of what lies between two tensors, no more than this: stops a storage of which the checkpoint uses a small part. */
const MAX_GAP_BYTES = 65_536;

/**
 * A digest, in 64 hexadecimal digits, of everything in a weights file that isn't a tensor's data: the header of a
 * safetensors file; pickle, directory, local headers and padding of a PyTorch file. It is cheap whatever the file's
 * size, and tells two files apart that hold different tensors. `tensors` are all of the checkpoint.
 * Errors: `truncated-file`, `source-unreadable`.
 */
export async function headerSha256(file: RandomAccessFile, tensors: readonly TensorView[]): Promise<string> {
  const stored = tensors
    .flatMap(({ dtype, pieces }) => pieces.map((piece) => ({ ...piece, dtype })))
    .filter((piece) => piece.file === file && elementCount(piece.extents) > 0)
    .sort((a, b) => a.offsetBytes - b.offsetBytes);
  // A file without data is all header.
  const dataStart = stored[0]?.offsetBytes ?? file.byteLength;
  const sum = createHash("sha256").update(await file.read(0, Math.min(dataStart, MAX_END_BYTES)));
  let end = dataStart;
  for (const piece of stored) {
    const gapLength = Math.min(piece.offsetBytes - end, MAX_GAP_BYTES);
    if (gapLength > 0) sum.update(await file.read(end, gapLength));
    end = Math.max(end, endOf(piece));
  }
  const tailLength = Math.min(file.byteLength - end, MAX_END_BYTES);
  return sum.update(await file.read(file.byteLength - tailLength, tailLength)).digest("hex");
}

/** Where the bytes of a piece end that isn't empty. */
function endOf({ offsetBytes, extents, strides, dtype }: TensorPiece & { readonly dtype: DType }): number {
  const last = extents.reduce((sum, extent, dim) => sum + (extent - 1) * (strides[dim] ?? 0), 0);
  return offsetBytes + Math.ceil(((last + 1) * bitsOf(dtype)) / 8);
}
