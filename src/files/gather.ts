/** Reads elements of a view, dense, into memory: any pieces and strides give what PyTorch would give. */
import {
  type DType,
  type FloatDType,
  mapPieces,
  type ReadableFile,
  type TensorPiece,
  type TensorView,
} from "../tensor.js";
import { readFully } from "./local-file.js";
import {
  MAX_SCATTERED_BYTES,
  mergeDimensions,
  type OpenView,
  type Stretch,
  stretchesOf,
} from "./stretches.js";

export type { OpenView };

/** The caller has made sure that the dtype is one of `D`. */
export function openView<D extends DType = FloatDType>(tensor: TensorView<ReadableFile>): OpenView<D> {
  return { dtype: tensor.dtype as D, ...mergeDimensions(plainView(tensor)) };
}

/** The tensor as plain data, which can be given to another thread: without its files' functions. */
export function plainView(tensor: TensorView<ReadableFile>): TensorView<ReadableFile> {
  const plain = ({ file: { path, fd }, ...piece }: TensorPiece<ReadableFile>) => ({
    ...piece,
    file: { path, fd },
  });
  return { ...tensor, pieces: mapPieces(tensor.pieces, plain) };
}

/** Each thread's own; the system gives it memory when it is used. */
const scratch = new Uint8Array(MAX_SCATTERED_BYTES);

/** Reads elements [first, first + count) of the view into `memory` from byte `destination` on. Elements are whole bytes. */
export function gather(
  view: OpenView<DType>,
  first: number,
  count: number,
  memory: Uint8Array,
  destination: number,
): void {
  for (const stretch of stretchesOf(view, first, count)) {
    const { file, offsetBytes, byteLength, rangeBytes, levels } = stretch;
    const at = destination + rangeBytes;
    const into = levels.length === 0 ? memory.subarray(at, at + byteLength) : scratch.subarray(0, byteLength);
    readFully(file.fd, into, offsetBytes, file.path);
    if (levels.length > 0) scatter(stretch, scratch, 0, memory, at);
  }
}

/** Below this many bytes a loop is faster than a call. */
const SHORT_RUN_BYTES = 32;

/** Copies the runs of a stretch, which lies in `source` from `from` on, to their places from `to` on. */
export function scatter(
  { runBytes, levels }: Stretch,
  source: Uint8Array,
  from: number,
  memory: Uint8Array,
  to: number,
): void {
  const copy = (depth: number, sourceAt: number, at: number) => {
    const level = levels[depth];
    if (level !== undefined) {
      const { extent, fileStep, rangeStep } = level;
      for (let i = 0; i < extent; i++) copy(depth - 1, sourceAt + i * fileStep, at + i * rangeStep);
    } else if (runBytes > SHORT_RUN_BYTES) {
      memory.set(source.subarray(sourceAt, sourceAt + runBytes), at);
    } else {
      for (let byte = 0; byte < runBytes; byte++) memory[at + byte] = source[sourceAt + byte] as number;
    }
  };
  copy(levels.length - 1, from, to);
}
