/** Ranges of a file: which bytes are there, which are missing. Pure. */

/** From the first byte to before the last, in bytes. */
export type Range = readonly [start: number, end: number];

/** Ranges in order, none empty, none touching another. */
export type Ranges = readonly Range[];

/** The union with one more range. */
export function withRange(ranges: Ranges, [start, end]: Range): Ranges {
  if (end <= start) return ranges;
  const before = ranges.filter(([, last]) => last < start);
  const after = ranges.filter(([first]) => first > end);
  const joined = ranges.filter(([first, last]) => last >= start && first <= end);
  const merged: Range = [
    Math.min(start, ...joined.map(([first]) => first)),
    Math.max(end, ...joined.map(([, last]) => last)),
  ];
  return [...before, merged, ...after];
}

/** What is missing of `byteLength` bytes, in pieces of at most `mostBytes`. */
export function missingRanges(ranges: Ranges, byteLength: number, mostBytes: number): Range[] {
  const missing: Range[] = [];
  let at = 0;
  for (const [start, end] of [...ranges, [byteLength, byteLength] as const]) {
    for (; at < start; at = Math.min(at + mostBytes, start)) {
      missing.push([at, Math.min(at + mostBytes, start)]);
    }
    at = Math.max(at, end);
  }
  return missing;
}

export function totalBytes(ranges: Ranges): number {
  return ranges.reduce((sum, [start, end]) => sum + end - start, 0);
}
