/** Meta's files put together: each tensor under transformers' name, as a view of the files that share it. */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { reorderRows } from "../../llama/row-order.js";
import { bitsOf, mapPieces, type TensorPiece, type TensorView } from "../../tensor.js";
import type { Assembled, Parts } from "../format.js";
import { checkParts, oddOneOut, partsDiffer, type SharedTensor } from "./check-parts.js";
import { type Params, readParams } from "./params.js";

/**
 * `folder` holds params.json, which the shapes are held against. Of the weights only the vectors are read.
 * Errors: those of `readParams` and `checkParts`.
 */
export async function assembleMeta(parts: Parts, folder: string): Promise<Assembled> {
  const params = readParams(folder);
  const { tensors, config } = checkParts(parts, params);
  for (const tensor of tensors) if (tensor.splitBy === null) await compareVectors(tensor);
  return { tensors: tensors.map((tensor) => join(tensor, params)), config };
}

/** One view of all shares. Where one is as large as the tensor, every file has all of it. */
function join({ name, shape, shares, headsOf }: SharedTensor, { headRows }: Params): TensorView {
  const splitDim = shape.findIndex((extent, dim) => extent !== shares[0].shape[dim]);
  let at = 0;
  const place = ({ pieces: [piece], shape: extents }: TensorView): TensorPiece => {
    const start = shape.map((_, dim) => (dim === splitDim ? at : 0));
    at += extents[splitDim] ?? 0;
    return { ...piece, start };
  };
  const pieces = mapPieces(splitDim < 0 ? [shares[0]] : shares, place);
  const view = { name, dtype: shares[0].dtype, shape, grid: shape, pieces };
  if (headsOf === null) return view;
  const reordered = reorderRows(view, headRows, "meta");
  if (reordered === null) throw new Error(`heads of ${headRows} rows don't divide ${name}`);
  return reordered;
}

/** Each file has the vectors whole; where they differ, the files are of two models. */
async function compareVectors({ shares }: SharedTensor): Promise<void> {
  if (shares.length === 1) return;
  const contents = await Promise.all(shares.map(digestOf));
  const odd = oddOneOut(contents);
  if (odd === null) return;
  const other = shares.find((_, i) => contents[i] !== contents[odd]);
  throw partsDiffer(shares[odd] as TensorView, {
    expected: `the values in ${basename(other?.pieces[0].file.path ?? "")}`,
    got: "other values",
  });
}

/** No vector of LLaMA's is longer; stops one that would fill the memory. */
const READ_BYTES = 64 * 1024;

/** The SHA-256 of the bytes from the first element to the last. */
async function digestOf({ dtype, pieces: [piece] }: TensorView): Promise<string> {
  const { file, offsetBytes, extents, strides } = piece;
  const last = extents.reduce((sum, extent, dim) => sum + (extent - 1) * (strides[dim] ?? 0), 0);
  const byteLength = ((last + 1) * bitsOf(dtype)) / 8;
  const sum = createHash("sha256");
  for (let at = 0; at < byteLength; at += READ_BYTES)
    sum.update(await file.read(offsetBytes + at, Math.min(READ_BYTES, byteLength - at)));
  return sum.digest("hex");
}
