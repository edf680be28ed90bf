/**
 * How runs of elements differ. What counts as a difference is defined here; docs/decisions.md has it as a table:
 * - NaN equals NaN, and -0 equals +0, as values; their bits may differ.
 * - The absolute difference is |a - b|, made in float64.
 * - The relative difference is |a - b| / max(|a|, |b|): 0 to 2, the same from both sides.
 * - A difference that isn't finite (NaN or an infinity on one side) is counted, beyond any tolerance, and no largest.
 */
import { countDifferent } from "../kernel/count-different.js";
import type { Tolerance } from "./documents.js";

const NOWHERE = Number.POSITIVE_INFINITY;

const NO_PEAK = { difference: 0, at: NOWHERE, a: 0, b: 0 };

/** Elements are named by their position in the tensor. */
export const NO_DIFFERENCE = {
  differentBits: 0,
  firstBits: NOWHERE,
  differentValues: 0,
  firstValue: NOWHERE,
  beyond: 0,
  notFinite: 0,
  absolute: NO_PEAK,
  relative: NO_PEAK,
};

export type Tally = Readonly<typeof NO_DIFFERENCE>;
export type Peak = Readonly<typeof NO_PEAK>;

/** Counts the elements whose bytes differ. `first` is the position of the first element in its tensor. */
export function tallyBits(a: Uint8Array, b: Uint8Array, elementBytes: number, first: number): Tally {
  const bits = countDifferent(a, b, elementBytes);
  return { ...NO_DIFFERENCE, differentBits: bits.different, firstBits: first + bits.first };
}

type Numbers = Float32Array | Float64Array;

/** Lets no product's rounding hide a larger quotient. Among subnormals a product may round up to the difference itself. */
const NEARLY = 1 - 2 ** -50;

/** The relative difference. Of two different numbers at least one isn't zero. */
function shareOf(difference: number, p: number, q: number): number {
  return difference / (p > q ? p : q);
}

/** What counts as equal in each block of elements. */
export interface Steps {
  readonly most: Float64Array;
  readonly block: number;
}

/** Counts and measures the elements whose values differ; `first` as above. */
export function tallyValues(
  a: Numbers,
  b: Numbers,
  tolerance: Tolerance,
  first: number,
  steps: Steps | null = null,
): Tally {
  const { absolute, relative: mostRelative } = tolerance;
  const mostAbsoluteAt =
    steps === null ? () => absolute : (i: number) => steps.most[Math.floor(i / steps.block)] ?? 0;
  let differentValues = 0;
  let firstAt = NOWHERE;
  let beyond = 0;
  let notFinite = 0;
  let largest = 0;
  let largestAt = NOWHERE;
  let relative = 0;
  let relativeAt = NOWHERE;
  let nearly = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    if (differentValues++ === 0) firstAt = i;
    const difference = Math.abs(x - y);
    if (!(difference < Number.POSITIVE_INFINITY)) {
      notFinite++;
      beyond++;
      continue;
    }
    const p = Math.abs(x);
    const q = Math.abs(y);
    if (difference > mostAbsoluteAt(i) && (mostRelative === 0 || shareOf(difference, p, q) > mostRelative))
      beyond++;
    if (difference > largest) {
      largest = difference;
      largestAt = i;
    }
    // The greater of the two is only looked for where it matters: which it is, no processor can guess.
    if (difference >= nearly * p && difference >= nearly * q && shareOf(difference, p, q) > relative) {
      relative = shareOf(difference, p, q);
      relativeAt = i;
      nearly = relative * NEARLY;
    }
  }
  const peak = (difference: number, i: number): Peak => {
    return { difference, at: first + i, a: a[i] ?? 0, b: b[i] ?? 0 };
  };
  return {
    ...NO_DIFFERENCE,
    ...{ differentValues, firstValue: first + firstAt, beyond, notFinite },
    absolute: peak(largest, largestAt),
    relative: peak(relative, relativeAt),
  };
}

export function addTallies(x: Tally, y: Tally): Tally {
  return {
    differentBits: x.differentBits + y.differentBits,
    firstBits: Math.min(x.firstBits, y.firstBits),
    differentValues: x.differentValues + y.differentValues,
    firstValue: Math.min(x.firstValue, y.firstValue),
    beyond: x.beyond + y.beyond,
    notFinite: x.notFinite + y.notFinite,
    absolute: higher(x.absolute, y.absolute),
    relative: higher(x.relative, y.relative),
  };
}

/** Of equal differences the first in the tensor stays, whoever found it. */
function higher(x: Peak, y: Peak): Peak {
  if (x.difference === y.difference) return x.at <= y.at ? x : y;
  return x.difference > y.difference ? x : y;
}
