/** Ranges of a file: which bytes are there, which are missing, which to ask for at once. Pure. */
import type { FileRange } from "../files/exchange.js";

/** From the first byte to before the last, in bytes. */
export type Range = readonly [start: number, end: number];

/** Ranges in order, none empty, none touching another. */
export type Ranges = readonly Range[];

/** The union of any ranges. */
export function unionOf(ranges: Ranges): Ranges {
  const union: Range[] = [];
  for (const range of [...ranges].sort(([a], [b]) => a - b)) append(union, range);
  return union;
}

/** The union with one more range. */
export function withRange(ranges: Ranges, range: Range): Ranges {
  return unionOf([...ranges, range]);
}

/** Adds a range that begins behind the others, or in the last of them. */
function append(ranges: Range[], [start, end]: Range): void {
  if (end <= start) return;
  const last = ranges.at(-1);
  if (last === undefined || start > last[1]) ranges.push([start, end]);
  else ranges[ranges.length - 1] = [last[0], Math.max(last[1], end)];
}

/** What is missing of `byteLength` bytes, in pieces of at most `mostBytes`. */
export function missingRanges(ranges: Ranges, byteLength: number, mostBytes: number): Range[] {
  const missing: Range[] = [];
  let at = 0;
  for (const [start, end] of [...ranges, [byteLength, byteLength] as const]) {
    missing.push(...split([at, start], mostBytes));
    at = Math.max(at, end);
  }
  return missing;
}

/** A range in pieces of at most `mostBytes`. */
export function split([start, end]: Range, mostBytes: number): Range[] {
  const pieces: Range[] = [];
  for (let at = start; at < end; at += mostBytes) pieces.push([at, Math.min(at + mostBytes, end)]);
  return pieces;
}

export function totalBytes(ranges: Ranges): number {
  return ranges.reduce((sum, [start, end]) => sum + end - start, 0);
}

/** A part of a file to be fetched at once. */
export interface JoinedRequest {
  /** The file's number in its exchange. */
  readonly file: number;
  readonly start: number;
  readonly end: number;
  /** What of it will be read; between them are gaps. */
  readonly wanted: Ranges;
}

/**
 * Joins ranges that are neighbours in a file into requests worth a round trip, in about the order in which they will be
 * read; none is longer than `mostBytes`, unless one range is. Gaps of up to `gapBytes` are fetched for nothing. Leaves
 * out ranges of local files. Lazy, so that a model's plan needn't be held twice.
 */
export function* joinRanges(
  ranges: Iterable<FileRange>,
  mostBytes: number,
  gapBytes: number,
): Generator<JoinedRequest> {
  type Growing = JoinedRequest & { end: number; readonly wanted: Range[] };
  const growing = new Map<number, Growing>();
  // In the order of their first ranges. Several files are read in turns, so several grow at once.
  const queue = new Set<Growing>();
  let queuedBytes = 0;
  for (const { fd, offsetBytes: start, byteLength } of ranges) {
    if (typeof fd === "number" || byteLength === 0) continue;
    const { file } = fd;
    const end = start + byteLength;
    const last = growing.get(file);
    const gap = start - (last?.end ?? start);
    if (last !== undefined && gap >= 0 && gap <= gapBytes && end - last.start <= mostBytes) {
      append(last.wanted, [start, end]);
      queuedBytes += end - last.end;
      last.end = end;
    } else {
      const request: Growing = { file, start, end, wanted: [[start, end]] };
      growing.set(file, request);
      queue.add(request);
      queuedBytes += byteLength;
    }
    for (const first of queue) {
      const isGrowing = growing.get(first.file) === first;
      // A file that isn't read for a while must not keep its beginning back.
      if (isGrowing && queuedBytes <= 2 * growing.size * mostBytes) break;
      if (isGrowing) growing.delete(first.file);
      queue.delete(first);
      queuedBytes -= first.end - first.start;
      yield first;
    }
  }
  yield* queue;
}
