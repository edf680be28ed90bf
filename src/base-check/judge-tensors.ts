/**
 * The verdict on each tensor, from what a sample found in it. A tensor is judged among the others: a delta that gives
 * exact sums in most tensors was made in its own format, so a tensor whose sums aren't exact has another base.
 * The thresholds come from the tables in docs/base-check.md, which `npm run base-check-table` prints.
 */
import type { SumDType } from "../tensor.js";
import { sumOf } from "../units.js";
import { SHORTEST_RUN_BYTES } from "./damage.js";
import type { TensorCheck, TensorVerdict } from "./documents.js";
import { FORMATS, MADE_IN, type SideFindings, type TensorSample } from "./tensor-sample.js";

/** Fewer comparable pairs say nothing of a tensor. */
const FEWEST_COMPARABLE = 16;

/** Share of inexact sums above which the base is another model. */
const OTHER_SHARE = 0.18;

/** Share above which the delta may have been made in a wider format. */
const WIDER_SHARE = 0.6;

/** A delta of a wider format uses its last bit in half of the pairs that should not use it. */
const FINE_SHARE = 0.3;

/** If fewer float32 sums than this share use the last bits, they were not float32's own, and being exact proves nothing. */
const FINE_SUMS_SHARE = 0.5;

/** A whole tensor's rms is near the base's, a delta's a tenth of it or less. */
export const MODEL_RATIO = 0.5;

/** Correlation of t - 2b with b, t being near b. */
const TWICE_CORRELATION = -0.9;

/** A tensor with more scattered zeros than this share is sparse: a run of zeros says nothing. */
const SPARSE_SHARE = 0.02;

/** The format the delta was made in, as far as can be seen; null where no format tells anything. */
export function formatOf(samples: readonly TensorSample[]): SumDType | null {
  const candidates = FORMATS.filter((format) => {
    const able = samples.filter(({ dtype }) => MADE_IN[dtype].includes(format));
    if (able.length === 0) return false;
    const pairs = sumOf(able, ({ comparable }) => comparable);
    // One foreign tensor says nothing of the format of the others.
    const fitting = sumOf(able, ({ comparable, baseFits }) => (baseFits[format] ? comparable : 0));
    if (fitting < pairs / 2 || pairs === 0) return false;
    return format !== "F32" || sumOf(samples, ({ fineSums }) => fineSums) >= FINE_SUMS_SHARE * pairs;
  });
  const isPlausible = (format: SumDType) =>
    sumOf(samples, ({ inexact }) => inexact[format]) <
    WIDER_SHARE * sumOf(samples, ({ comparable }) => comparable);
  return candidates.find(isPlausible) ?? candidates.at(-1) ?? null;
}

export const rmsOf = (findings: SideFindings, sampled: number) =>
  Math.sqrt(findings.squares / Math.max(1, sampled));

function correlationOf({ base, delta, products }: TensorSample): number {
  const norm = Math.sqrt(base.squares * delta.squares);
  return norm === 0 ? 0 : products / norm;
}

export function judgeTensors(samples: readonly TensorSample[], format: SumDType | null): TensorCheck[] {
  const checks = samples.map((sample) => {
    const inexact =
      format === null ? 0 : sample.inexact[MADE_IN[sample.dtype].includes(format) ? format : sample.dtype];
    return {
      name: sample.name,
      verdict: verdictOf(sample, inexact, format),
      sampled: sample.sampled,
      comparable: sample.comparable,
      inexact,
      baseRms: rmsOf(sample.base, sample.sampled),
      deltaRms: rmsOf(sample.delta, sample.sampled),
      correlation: correlationOf(sample),
    };
  });
  return amongOthers(checks);
}

function verdictOf(sample: TensorSample, inexact: number, format: SumDType | null): TensorVerdict {
  const { base, delta, sampled, comparable, quarter, fineDeltas, isMatrix } = sample;
  // Letters of a text may be NaN, so text goes first.
  if (isDamaged(base, isMatrix) || isDamaged(delta, isMatrix)) return "damaged";
  if (base.notFinite + delta.notFinite > 0) return "not-finite";
  if (sampled === 0 || delta.squares === 0) return "zero";
  if (base.squares === 0) return isMatrix ? "damaged" : "too-few";
  if (rmsOf(delta, sampled) > MODEL_RATIO * rmsOf(base, sampled))
    return correlationOf(sample) < TWICE_CORRELATION ? "twice" : "whole";
  if (format === null) return "too-few";
  // One inexact sum proves something, however few there are; none of a few proves nothing.
  if (inexact === 0) return comparable < FEWEST_COMPARABLE ? "too-few" : "exact";
  const share = inexact / comparable;
  if (share < OTHER_SHARE) return "near";
  return share >= WIDER_SHARE && fineDeltas >= FINE_SHARE * quarter ? "wider" : "other";
}

/** Text in a matrix, or runs of zeros in one that isn't sparse. A vector's elements may be zero, or lie as close as letters. */
function isDamaged(
  { zeroBytes, places, scatteredZeros, textPlaces, squares }: SideFindings,
  isMatrix: boolean,
): boolean {
  if (!isMatrix) return false;
  return (
    textPlaces > 0 ||
    (zeroBytes >= SHORTEST_RUN_BYTES && squares > 0 && scatteredZeros <= SPARSE_SHARE * places)
  );
}

/** Where most matrices are exact, one that is only near has another base, and none can be of a wider format. */
function amongOthers(checks: readonly TensorCheck[]): TensorCheck[] {
  const judged = checks.filter(({ verdict }) => ["exact", "near", "other", "wider"].includes(verdict));
  const pairs = sumOf(judged, ({ comparable }) => comparable);
  const exact = sumOf(judged, ({ verdict, comparable }) => (verdict === "exact" ? comparable : 0));
  if (exact < pairs / 2) return [...checks];
  return checks.map((check) =>
    check.verdict === "near" || check.verdict === "wider" ? { ...check, verdict: "other" } : check,
  );
}
