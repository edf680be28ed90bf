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
  placeOf,
  type Runs,
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
    const { file, offsetBytes, byteLength } = stretch;
    const place = placeOf(stretch);
    const [into, at] = place === null ? [scratch, 0] : [memory, destination + place];
    readFully(file.fd, into.subarray(at, at + byteLength), offsetBytes, file.path);
    if (place === null) scatter(stretch, scratch, 0, memory, destination);
  }
}

/** Below this many bytes a loop is faster than a call. */
const SHORT_RUN_BYTES = 32;

/**
 * Copies a stretch, which lies in `source` from `from` on, to its places in the range, which begins at `to`. Within one
 * memory no view is made for each run, which would take longer than to copy it.
 */
export function scatter(
  { offsetBytes, runs }: Stretch,
  source: Uint8Array,
  from: number,
  memory: Uint8Array,
  to: number,
): void {
  for (const some of runs)
    scatterRuns(some, source, from + some.offsetBytes - offsetBytes, memory, to + some.rangeBytes);
}

function scatterRuns(
  { runBytes, levels }: Runs,
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
      if (source === memory) memory.copyWithin(at, sourceAt, sourceAt + runBytes);
      else memory.set(source.subarray(sourceAt, sourceAt + runBytes), at);
    } else {
      for (let byte = 0; byte < runBytes; byte++) memory[at + byte] = source[sourceAt + byte] as number;
    }
  };
  copy(levels.length - 1, from, to);
}
