/** Which stretches of which files hold a range of a tensor's elements, and where in the range the bytes of each go. */
import {
  bitsOf,
  type DType,
  type FloatDType,
  mapPieces,
  type Placement,
  type ReadableFile,
  type TensorPiece,
} from "../tensor.js";

/** A tensor as any thread can read it: plain data, its files by their descriptors. */
export interface OpenView<D extends DType = FloatDType> extends Placement<ReadableFile> {
  readonly dtype: D;
}

/** So many equal steps, in bytes. */
interface Level {
  readonly extent: number;
  readonly fileStep: number;
  readonly rangeStep: number;
}

/** Bytes of a file that are read at once. */
export interface Stretch {
  readonly file: ReadableFile;
  readonly offsetBytes: number;
  readonly byteLength: number;
  /** Where the first byte goes, from the beginning of the range. */
  readonly rangeBytes: number;
  /** Runs of so many bytes stay together. */
  readonly runBytes: number;
  /** The steps from run to run, innermost first; none, if the whole stretch goes to its place as it is. */
  readonly levels: readonly Level[];
}

/** A stretch that doesn't go to its place as it is has at most so many bytes: what a reader needs room for. */
export const MAX_SCATTERED_BYTES = 1024 * 1024;

/** Runs are read together where no more than this lies between them, or no more than they have themselves: a page. */
const MOST_WASTED_BYTES = 4096;

/** With the dimensions merged that each piece has all of, without a gap: a dense tensor has one. */
export function mergeDimensions<File extends { readonly path: string }>(
  placement: Placement<File>,
): Placement<File> {
  let { grid, pieces } = placement;
  for (let dim = grid.length - 2; dim >= 0; dim--) {
    if (!pieces.every((piece) => isGapless(piece, grid, dim))) continue;
    const inner = grid[dim + 1] ?? 1;
    const merge = (numbers: readonly number[], merged: number) => numbers.toSpliced(dim, 2, merged);
    pieces = mapPieces(pieces, (piece) => ({
      ...piece,
      start: merge(piece.start, (piece.start[dim] ?? 0) * inner),
      extents: merge(piece.extents, (piece.extents[dim] ?? 0) * inner),
      strides: merge(piece.strides, piece.strides[inner === 1 ? dim : dim + 1] ?? 0),
    }));
    grid = merge(grid, (grid[dim] ?? 0) * inner);
  }
  return { grid, pieces };
}

/** Whether the piece steps from one index of the dimension to the next as from element to element of the one inside. */
function isGapless(
  { extents, strides }: Pick<TensorPiece, "extents" | "strides">,
  grid: readonly number[],
  dim: number,
): boolean {
  const inner = grid[dim + 1] ?? 1;
  if (extents[dim + 1] !== inner) return false;
  return inner === 1 || extents[dim] === 1 || strides[dim] === inner * (strides[dim + 1] ?? 0);
}

/** The stretches that hold elements [first, first + count). Elements are whole bytes. */
export function* stretchesOf(view: OpenView<DType>, first: number, count: number): Generator<Stretch> {
  const size = bitsOf(view.dtype) / 8;
  let rangeBytes = 0;
  for (const box of boxesOf(view.grid, first, first + count)) {
    for (const piece of view.pieces) yield* stretchesOfPiece(piece, box, size, rangeBytes);
    rangeBytes += size * box.reduce((product, { length }) => product * length, 1);
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

/** The stretches of the part of a box that a piece holds. The box begins at `boxBytes` of the range. */
function* stretchesOfPiece(
  { file, offsetBytes, start, extents, strides }: TensorPiece<ReadableFile>,
  box: readonly IndexRange[],
  size: number,
  boxBytes: number,
): Generator<Stretch> {
  const levels: Level[] = [];
  let [fileAt, rangeAt, rangeStep] = [offsetBytes, boxBytes, size];
  for (let dim = box.length - 1; dim >= 0; dim--) {
    const { start: boxStart, length } = box[dim] as IndexRange;
    const pieceStart = start[dim] ?? 0;
    const from = Math.max(boxStart, pieceStart);
    const extent = Math.min(boxStart + length, pieceStart + (extents[dim] ?? 0)) - from;
    if (extent <= 0) return;
    const fileStep = (strides[dim] ?? 0) * size;
    fileAt += (from - pieceStart) * fileStep;
    rangeAt += (from - boxStart) * rangeStep;
    if (extent > 1) levels.push({ extent, fileStep, rangeStep });
    rangeStep *= length;
  }
  yield* cutIntoStretches(file, fileAt, rangeAt, ...runsOf(levels, size));
}

/** The bytes that stay together, and the steps from one such run to the next, in the order of the file. */
function runsOf(levels: readonly Level[], size: number): [runBytes: number, levels: Level[]] {
  const steps: Level[] = [];
  for (const level of [...levels].sort((a, b) => a.fileStep - b.fileStep)) {
    const inner = steps.at(-1) ?? { extent: 1, fileStep: size, rangeStep: size };
    const { extent, fileStep, rangeStep } = inner;
    const continues = level.fileStep === extent * fileStep && level.rangeStep === extent * rangeStep;
    if (continues) steps.splice(-1, 1, { ...inner, extent: extent * level.extent });
    else steps.push(level);
  }
  const [innermost, ...outer] = steps;
  if (innermost?.fileStep !== size || innermost.rangeStep !== size) return [size, steps];
  return [innermost.extent * size, outer];
}

/** Runs that lie close together are read at once. */
function* cutIntoStretches(
  file: ReadableFile,
  fileAt: number,
  rangeAt: number,
  runBytes: number,
  levels: readonly Level[],
): Generator<Stretch> {
  let joined = 0;
  let perStretch = 1;
  let byteLength = runBytes;
  for (const { extent, fileStep } of levels) {
    if (fileStep - byteLength > Math.max(MOST_WASTED_BYTES, byteLength)) break;
    const most = Math.floor((MAX_SCATTERED_BYTES - byteLength) / Math.max(1, fileStep)) + 1;
    perStretch = Math.max(1, Math.min(extent, most));
    if (perStretch < extent) break;
    byteLength += (extent - 1) * fileStep;
    joined++;
    perStretch = 1;
  }
  const [inner, outer] = [levels.slice(0, joined), levels.slice(joined)];
  const walk = function* (depth: number, at: number, to: number): Generator<Stretch> {
    const level = outer[depth];
    if (level === undefined) {
      yield { file, offsetBytes: at, byteLength, rangeBytes: to, runBytes, levels: inner };
      return;
    }
    const { fileStep, rangeStep } = level;
    for (let i = 0; i < level.extent; i += depth === 0 ? perStretch : 1) {
      const [offsetBytes, rangeBytes] = [at + i * fileStep, to + i * rangeStep];
      const extent = Math.min(perStretch, level.extent - i);
      if (depth > 0) yield* walk(depth - 1, offsetBytes, rangeBytes);
      else {
        const more = extent === 1 ? inner : [...inner, { ...level, extent }];
        const length = byteLength + (extent - 1) * fileStep;
        yield { file, offsetBytes, byteLength: length, rangeBytes, runBytes, levels: more };
      }
    }
  };
  yield* walk(outer.length - 1, fileAt, rangeAt);
}
