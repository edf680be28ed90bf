import { createHash } from "node:crypto";
import {
  bitsOf,
  type DType,
  elementCount,
  type OpenFile,
  type RandomAccessFile,
  type TensorPiece,
  type TensorView,
} from "../tensor.js";

/** Of either end, no more than this is digested: a header's own limit; stops a file with one tensor far inside. */
const MAX_END_BYTES = 100_000_000;

/** Read at a time. */
const CHUNK_BYTES = 1 << 20;

/** Of what lies between two tensors, no more than this: stops a storage of which the checkpoint uses a small part. */
const MAX_GAP_BYTES = 65_536;

/**
 * A digest, in 64 hexadecimal digits, of everything in a weights file that isn't a tensor's data: the header of a
 * safetensors file; pickle, directory, local headers and padding of a PyTorch file. It is cheap whatever the file's
 * size, and tells two files apart that hold different tensors. `pieces` are those in the file.
 * Errors: `truncated-file`, `source-unreadable`.
 */
export async function headerSha256(file: RandomAccessFile, pieces: readonly StoredPiece[]): Promise<string> {
  const stored = pieces
    .filter(({ extents }) => elementCount(extents) > 0)
    .sort((a, b) => a.offsetBytes - b.offsetBytes);
  const sum = createHash("sha256");
  const add = async (start: number, byteLength: number) => {
    for (let at = start; at < start + byteLength; at += CHUNK_BYTES)
      sum.update(await file.read(at, Math.min(CHUNK_BYTES, start + byteLength - at)));
  };
  // A file without data is all header.
  const dataStart = stored[0]?.offsetBytes ?? file.byteLength;
  await add(0, Math.min(dataStart, MAX_END_BYTES));
  let end = dataStart;
  for (const piece of stored) {
    const gapLength = Math.min(piece.offsetBytes - end, MAX_GAP_BYTES);
    if (gapLength > 0) await add(end, gapLength);
    end = Math.max(end, endOf(piece));
  }
  const tailLength = Math.min(file.byteLength - end, MAX_END_BYTES);
  await add(file.byteLength - tailLength, tailLength);
  return sum.digest("hex");
}

/** A part of a tensor, with the tensor's dtype. */
export type StoredPiece = TensorPiece & { readonly dtype: DType };

/** The pieces of a checkpoint's tensors by the file they lie in. */
export function piecesByFile(tensors: readonly TensorView[]): Map<OpenFile, StoredPiece[]> {
  const byFile = new Map<OpenFile, StoredPiece[]>();
  for (const { dtype, pieces } of tensors) {
    for (const piece of pieces) {
      const others = byFile.get(piece.file) ?? [];
      others.push({ ...piece, dtype });
      byFile.set(piece.file, others);
    }
  }
  return byFile;
}

/** Where the bytes of a piece end that isn't empty. */
function endOf({ offsetBytes, extents, strides, dtype }: StoredPiece): number {
  const last = extents.reduce((sum, extent, dim) => sum + (extent - 1) * (strides[dim] ?? 0), 0);
  return offsetBytes + Math.ceil(((last + 1) * bitsOf(dtype)) / 8);
}
