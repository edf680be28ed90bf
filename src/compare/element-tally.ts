import type { Tolerance } from "./documents.js";

/**
 * How runs of elements differ, counted in a row of numbers; rows of several threads add up to one. What counts as a
 * difference is defined here and in docs/architecture.md:
 * - NaN equals NaN, and -0 equals +0, as values; their bits may differ.
 * - The absolute difference is |a - b|, made in float64.
 * - The relative difference is |a - b| / max(|a|, |b|): 0 to 2, the same from both sides.
 * - A difference that isn't finite (NaN or an infinity on one side) is counted, beyond any tolerance, and no largest.
 */

/** Fields of a row. Places are the element's index plus 1, so that a row of zeros says "none". */
export const ROW = {
  differentBits: 0,
  differentValues: 1,
  beyond: 2,
  notFinite: 3,
  firstBits: 4,
  firstValue: 5,
  absolute: 6,
  absoluteAt: 7,
  absoluteA: 8,
  absoluteB: 9,
  relative: 10,
  relativeAt: 11,
  relativeA: 12,
  relativeB: 13,
} as const;

export const ROW_LENGTH = 14;

type Numbers = Float32Array | Float64Array;

/**
 * Counts the elements whose bytes differ. `first` is the index of the first element in its tensor. Runs of one
 * tensor come in rising order.
 */
export function tallyBits(
  a: Uint8Array,
  b: Uint8Array,
  elementBytes: number,
  first: number,
  row: Float64Array,
): void {
  // Eight bytes are two halves: BigInt64Array would make an object of every element.
  const halves = elementBytes === 8 ? 2 : 1;
  const x = integers(a, elementBytes / halves);
  const y = integers(b, elementBytes / halves);
  let different = 0;
  let firstAt = -1;
  for (let i = 0; i < x.length; i += halves) {
    if (x[i] === y[i] && (halves === 1 || x[i + 1] === y[i + 1])) continue;
    if (different++ === 0) firstAt = i / halves;
  }
  if (different > 0 && row[ROW.firstBits] === 0) row[ROW.firstBits] = first + firstAt + 1;
  row[ROW.differentBits] = (row[ROW.differentBits] as number) + different;
}

/** The bytes as integers of their size; the bytes are aligned. */
function integers({ buffer, byteOffset, byteLength }: Uint8Array, size: number) {
  if (size === 1) return new Uint8Array(buffer, byteOffset, byteLength);
  return size === 2
    ? new Uint16Array(buffer, byteOffset, byteLength / 2)
    : new Uint32Array(buffer, byteOffset, byteLength / 4);
}

/** Lets no product's rounding hide a larger quotient. Among subnormals a product may round up to the difference itself. */
const NEARLY = 1 - 2 ** -50;

/** The relative difference. Of two different numbers at least one isn't zero. */
function shareOf(difference: number, p: number, q: number): number {
  return difference / (p > q ? p : q);
}

/** Counts and measures the elements whose values differ; see `tallyBits`. */
export function tallyValues(
  a: Numbers,
  b: Numbers,
  { absolute: mostAbsolute, relative: mostRelative }: Tolerance,
  first: number,
  row: Float64Array,
): void {
  let different = 0;
  let beyond = 0;
  let notFinite = 0;
  let firstAt = -1;
  let absolute = row[ROW.absolute] as number;
  let absoluteAt = -1;
  let relative = row[ROW.relative] as number;
  let relativeAt = -1;
  let nearly = relative * NEARLY;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    if (different++ === 0) firstAt = i;
    const difference = Math.abs(x - y);
    if (!(difference < Number.POSITIVE_INFINITY)) {
      notFinite++;
      beyond++;
      continue;
    }
    const p = Math.abs(x);
    const q = Math.abs(y);
    if (difference > mostAbsolute && (mostRelative === 0 || shareOf(difference, p, q) > mostRelative))
      beyond++;
    if (difference > absolute) {
      absolute = difference;
      absoluteAt = i;
    }
    // The greater of the two is only looked for where it matters: which it is, no processor can guess.
    if (difference >= nearly * p && difference >= nearly * q && shareOf(difference, p, q) > relative) {
      relative = shareOf(difference, p, q);
      relativeAt = i;
      nearly = relative * NEARLY;
    }
  }
  if (different === 0) return;
  row[ROW.differentValues] = (row[ROW.differentValues] as number) + different;
  row[ROW.beyond] = (row[ROW.beyond] as number) + beyond;
  row[ROW.notFinite] = (row[ROW.notFinite] as number) + notFinite;
  if (row[ROW.firstValue] === 0) row[ROW.firstValue] = first + firstAt + 1;
  if (absoluteAt >= 0)
    row.set([absolute, first + absoluteAt + 1, a[absoluteAt] ?? 0, b[absoluteAt] ?? 0], ROW.absolute);
  if (relativeAt >= 0)
    row.set([relative, first + relativeAt + 1, a[relativeAt] ?? 0, b[relativeAt] ?? 0], ROW.relative);
}

/** Adds one thread's row to another's. Of equal differences the first in the tensor stays, whoever found it. */
export function addRow(sum: Float64Array, row: Float64Array): void {
  for (const field of [ROW.differentBits, ROW.differentValues, ROW.beyond, ROW.notFinite])
    sum[field] = (sum[field] as number) + (row[field] as number);
  for (const field of [ROW.firstBits, ROW.firstValue]) {
    const [mine, other] = [sum[field] as number, row[field] as number];
    sum[field] = mine === 0 ? other : other === 0 ? mine : Math.min(mine, other);
  }
  for (const field of [ROW.absolute, ROW.relative]) {
    const [mine, other] = [sum[field] as number, row[field] as number];
    const isEarlier = (row[field + 1] as number) < (sum[field + 1] as number);
    if (other > mine || (other === mine && isEarlier)) sum.set(row.subarray(field, field + 4), field);
  }
}
