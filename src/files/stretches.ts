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
  extent: number;
  readonly fileStep: number;
  readonly rangeStep: number;
}

/** Runs of a stretch's bytes that go to their places in equal steps. */
export interface Runs {
  /** Where the first one lies in the file. */
  readonly offsetBytes: number;
  /** Where it goes, from the beginning of the range. */
  readonly rangeBytes: number;
  readonly runBytes: number;
  /** The steps from run to run, innermost first; none, where there is one run. */
  readonly levels: readonly Level[];
}

/** Bytes of a file that are read at once, and where in the range they go. */
export interface Stretch {
  readonly file: ReadableFile;
  readonly offsetBytes: number;
  readonly byteLength: number;
  readonly runs: readonly [Runs, ...Runs[]];
}

/**
 * A stretch that doesn't go to its place as it is has at most so many bytes: what a reader needs room for. A head of q or
 * k is read at once, 2 MiB of 65B's.
 */
export const MAX_SCATTERED_BYTES = 2 * 1024 * 1024;

/** Bytes are read together where no more than this lies between them, a page, or no more than they are themselves. */
const MOST_WASTED_BYTES = 4096;

function isFar(betweenBytes: number, byteLength: number): boolean {
  return betweenBytes > Math.max(MOST_WASTED_BYTES, byteLength);
}

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

/** Where the bytes of a stretch go as they are; null, where they go to several places. */
export function placeOf({ runs: [first, ...others] }: Stretch): number | null {
  return others.length === 0 && first.levels.length === 0 ? first.rangeBytes : null;
}

/** The stretches that hold elements [first, first + count). Elements are whole bytes. */
export function* stretchesOf(view: OpenView<DType>, first: number, count: number): Generator<Stretch> {
  const size = bitsOf(view.dtype) / 8;
  let rangeBytes = 0;
  const boxes = boxesOf(view.grid, first, first + count).map((box) => {
    const beginBytes = rangeBytes;
    rangeBytes += size * box.reduce((product, { length }) => product * length, 1);
    return { box, beginBytes };
  });
  // A box may end inside a row, or a head: the next one is read with it where it lies close by.
  for (const piece of view.pieces) {
    let last: Stretch | null = null;
    for (const { box, beginBytes } of boxes) {
      const runs = runsOfPiece(piece, box, size, beginBytes);
      if (runs === null) continue;
      for (const stretch of cutIntoStretches(piece.file, runs)) {
        const joined: Stretch | null = last === null ? stretch : join(last, stretch);
        if (joined === null && last !== null) yield last;
        last = joined ?? stretch;
      }
    }
    if (last !== null) yield last;
  }
}

/** Both as one stretch of the file; null where they lie far apart, or are more than is read at once. */
function join(a: Stretch, b: Stretch): Stretch | null {
  const begin = Math.min(a.offsetBytes, b.offsetBytes);
  const byteLength = Math.max(a.offsetBytes + a.byteLength, b.offsetBytes + b.byteLength) - begin;
  const wasted = byteLength - a.byteLength - b.byteLength;
  if (byteLength > MAX_SCATTERED_BYTES || isFar(wasted, Math.max(a.byteLength, b.byteLength))) return null;
  return { file: a.file, offsetBytes: begin, byteLength, runs: [...a.runs, ...b.runs] };
}

/**
 * Elements that lie in one dense span, in another order: a head of q or k. Ranges that end at multiples of it share no
 * bytes of the file. 1 where there is no such number.
 */
export function denseBlockOf({ grid, pieces }: OpenView<DType>): number {
  const [, ...inner] = grid;
  const block = inner.reduce((product, extent) => product * extent, 1);
  const isWhole = ({ extents, strides }: TensorPiece<ReadableFile>) =>
    strides[0] === block && inner.every((extent, dim) => extents[dim + 1] === extent);
  return pieces.every(isWhole) ? block : 1;
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

/** The part of a box that a piece holds, in the order of the file; null for none. The box begins at `boxBytes` of the range. */
function runsOfPiece(
  { offsetBytes, start, extents, strides }: TensorPiece<ReadableFile>,
  box: readonly IndexRange[],
  size: number,
  boxBytes: number,
): Runs | null {
  const levels: Level[] = [{ extent: 1, fileStep: size, rangeStep: size }];
  let [fileAt, rangeAt, rangeStep] = [offsetBytes, boxBytes, size];
  for (let dim = box.length - 1; dim >= 0; dim--) {
    const { start: boxStart, length } = box[dim] as IndexRange;
    const pieceStart = start[dim] ?? 0;
    const from = Math.max(boxStart, pieceStart);
    const extent = Math.min(boxStart + length, pieceStart + (extents[dim] ?? 0)) - from;
    if (extent <= 0) return null;
    const fileStep = (strides[dim] ?? 0) * size;
    fileAt += (from - pieceStart) * fileStep;
    rangeAt += (from - boxStart) * rangeStep;
    const inner = levels.at(-1) as Level;
    const continues =
      fileStep === inner.extent * inner.fileStep && rangeStep === inner.extent * inner.rangeStep;
    if (continues) inner.extent *= extent;
    else if (extent > 1) levels.push({ extent, fileStep, rangeStep });
    rangeStep *= length;
  }
  const [run, ...steps] = levels as [Level, ...Level[]];
  steps.sort((a, b) => a.fileStep - b.fileStep);
  return { offsetBytes: fileAt, rangeBytes: rangeAt, runBytes: run.extent * size, levels: steps };
}

/** Runs that lie close together are read at once. */
function* cutIntoStretches(file: ReadableFile, runs: Runs): Generator<Stretch> {
  const { runBytes, levels } = runs;
  let joined = 0;
  let perStretch = 1;
  let byteLength = runBytes;
  for (const { extent, fileStep } of levels) {
    if (isFar(fileStep - byteLength, byteLength)) break;
    const most = Math.floor((MAX_SCATTERED_BYTES - byteLength) / Math.max(1, fileStep)) + 1;
    perStretch = Math.max(1, Math.min(extent, most));
    if (perStretch < extent) break;
    byteLength += (extent - 1) * fileStep;
    joined++;
    perStretch = 1;
  }
  if (joined === levels.length) {
    yield { file, offsetBytes: runs.offsetBytes, byteLength, runs: [runs] };
    return;
  }
  const [inner, outer] = [levels.slice(0, joined), levels.slice(joined)];
  const walk = function* (depth: number, from: number, to: number): Generator<Stretch> {
    const level = outer[depth] as Level;
    const { extent, fileStep, rangeStep } = level;
    for (let i = 0; i < extent; i += depth === 0 ? perStretch : 1) {
      const [offsetBytes, rangeBytes] = [from + i * fileStep, to + i * rangeStep];
      if (depth > 0) yield* walk(depth - 1, offsetBytes, rangeBytes);
      else {
        const together = Math.min(perStretch, extent - i);
        const steps = together === 1 ? inner : [...inner, { ...level, extent: together }];
        const length = byteLength + (together - 1) * fileStep;
        const some = { offsetBytes, rangeBytes, runBytes, levels: steps };
        yield { file, offsetBytes, byteLength: length, runs: [some] };
      }
    }
  };
  yield* walk(outer.length - 1, runs.offsetBytes, runs.rangeBytes);
}
