/** Reads elements of a view, dense, into memory: any strides give what PyTorch would give; a dense view costs one read. */
import {
  bitsOf,
  type DType,
  type FloatDType,
  isDense,
  type ReadableFile,
  type TensorView,
} from "../tensor.js";
import { readFully } from "./local-file.js";

/** A tensor as any thread can read it: plain data, the file by its descriptor. */
export interface OpenView<D extends DType = FloatDType> extends ReadableFile {
  readonly dtype: D;
  readonly offsetBytes: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** The caller has made sure that the dtype is one of `D`. */
export function openView<D extends DType = FloatDType>(tensor: TensorView<ReadableFile>): OpenView<D> {
  const { file, dtype, offsetBytes, shape, strides } = tensor;
  return { fd: file.fd, path: file.path, dtype: dtype as D, offsetBytes, shape, strides };
}

/** The tensor as plain data, which can be given to another thread: without its file's functions. */
export function plainView({
  file: { path, fd },
  ...view
}: TensorView<ReadableFile>): TensorView<ReadableFile> {
  return { ...view, file: { path, fd } };
}

/** Bytes of a strided view that are read at a time; a run of elements lies closer than that or is read singly. */
const SCRATCH_BYTES = 64 * 1024;

/** Each thread's own; the system gives it memory when it is used. */
const scratch = new Uint8Array(SCRATCH_BYTES);

/** Reads elements [first, first + count) of the view into `memory` from byte `destination` on. Elements are whole bytes. */
export function gather(
  input: OpenView<DType>,
  first: number,
  count: number,
  memory: Uint8Array,
  destination: number,
): void {
  const size = bitsOf(input.dtype) / 8;
  if (isDense(input.shape, input.strides)) {
    const into = memory.subarray(destination, destination + count * size);
    readFully(input.fd, into, input.offsetBytes + first * size, input.path);
    return;
  }
  let at = destination;
  for (const box of boxesOf(input.shape, first, first + count)) {
    readBox(input, box, memory, at);
    at += size * box.reduce((product, { length }) => product * length, 1);
  }
}

/** A range of indices in one dimension. */
interface IndexRange {
  readonly start: number;
  readonly length: number;
}

/** Splits a range of row-major positions into boxes that are rectangular in every dimension, in order. */
export function boxesOf(shape: readonly number[], first: number, end: number): IndexRange[][] {
  if (first >= end) return [];
  if (shape.length === 0) return [[]];
  const [, ...inner] = shape;
  const rowLength = inner.reduce((product, extent) => product * extent, 1);
  const startRow = Math.floor(first / rowLength);
  const endRow = Math.floor(end / rowLength);
  const startInRow = first - startRow * rowLength;
  const endInRow = end - endRow * rowLength;
  const row = (index: number, from: number, to: number): IndexRange[][] =>
    boxesOf(inner, from, to).map((box) => [{ start: index, length: 1 }, ...box]);
  if (startRow === endRow) return row(startRow, startInRow, endInRow);
  const head = startInRow === 0 ? [] : row(startRow, startInRow, rowLength);
  const firstWhole = startInRow === 0 ? startRow : startRow + 1;
  const wholeRows = { start: firstWhole, length: endRow - firstWhole };
  const whole = wholeRows.length === 0 ? [] : [[wholeRows, ...inner.map((length) => ({ start: 0, length }))]];
  return [...head, ...whole, ...row(endRow, 0, endInRow)];
}

/**
 * Reads one box: along the dimension whose elements lie closest together in the file, runs are read into the
 * scratch buffer and scattered to their places.
 */
function readBox(
  input: OpenView<DType>,
  box: readonly IndexRange[],
  memory: Uint8Array,
  destination: number,
): void {
  const size = bitsOf(input.dtype) / 8;
  const outStrides = box.map((_, dim) =>
    box.slice(dim + 1).reduce((product, { length }) => product * length, 1),
  );
  const runDim = closestDimension(input.strides, box);
  const runLength = box[runDim]?.length ?? 1;
  const runStride = (input.strides[runDim] ?? 0) * size;
  const runOutStride = (outStrides[runDim] ?? 0) * size;
  const perRead =
    runStride === 0 ? runLength : Math.max(1, Math.floor((SCRATCH_BYTES - size) / runStride) + 1);
  const index = box.map(() => 0);
  do {
    let source = input.offsetBytes;
    let out = destination;
    for (const [dim, { start }] of box.entries()) {
      source += (start + (index[dim] ?? 0)) * (input.strides[dim] ?? 0) * size;
      out += (index[dim] ?? 0) * (outStrides[dim] ?? 0) * size;
    }
    for (let done = 0; done < runLength; done += perRead) {
      const count = Math.min(perRead, runLength - done);
      const bytes = scratch.subarray(0, (count - 1) * runStride + size);
      readFully(input.fd, bytes, source + done * runStride, input.path);
      for (let i = 0; i < count; i++) {
        const to = out + (done + i) * runOutStride;
        for (let byte = 0; byte < size; byte++) memory[to + byte] = bytes[i * runStride + byte] ?? 0;
      }
    }
  } while (advance(index, box, runDim));
}

/** The dimension of the box with more than one index and the smallest stride; 0 where there is none. */
function closestDimension(strides: readonly number[], box: readonly IndexRange[]): number {
  const strideOf = (dim: number) => strides[dim] ?? 0;
  const long = [...box.keys()].filter((dim) => (box[dim]?.length ?? 0) > 1);
  return long.sort((a, b) => strideOf(a) - strideOf(b))[0] ?? 0;
}

/** Counts `index` up through the box, leaving out one dimension. False at the end. */
function advance(index: number[], box: readonly IndexRange[], skippedDim: number): boolean {
  for (let dim = box.length - 1; dim >= 0; dim--) {
    if (dim === skippedDim) continue;
    const next = (index[dim] ?? 0) + 1;
    if (next < (box[dim]?.length ?? 0)) {
      index[dim] = next;
      return true;
    }
    index[dim] = 0;
  }
  return false;
}
