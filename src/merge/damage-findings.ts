/** Which stretches of zeros and text in a segment are damage, and not as weights may be. */
import { type Damage, STRIDE_BYTES } from "../base-check/damage.js";
import type { SegmentFinding } from "./findings.js";

/** A segment with more scattered zeros than this share is of a sparse tensor: a run of zeros says nothing. */
const SPARSE_SHARE = 0.02;

/**
 * The findings in a segment that begins at element `first` of its tensor. `rowElements`: of a matrix with a row for each
 * token, whose whole rows may be zero; 0 for other matrices; null for vectors, whose elements may be.
 */
export function describeDamage(
  { places, scatteredZeros, zeroRuns, firstText, textPlaces }: Damage,
  side: "base" | "delta",
  first: number,
  elementBytes: number,
  rowElements: number | null,
): SegmentFinding[] {
  const at = (offsetBytes: number) => first + Math.floor(offsetBytes / elementBytes);
  if (rowElements === null) return [];
  const findings: SegmentFinding[] = [];
  if (firstText !== null) findings.push({ kind: `${side}-text`, count: textPlaces, first: at(firstText) });
  if (scatteredZeros > SPARSE_SHARE * places) return findings;
  const end = places * STRIDE_BYTES;
  const isRowEdge = (offsetBytes: number) => {
    const within = (first * elementBytes + offsetBytes) % (rowElements * elementBytes);
    return Math.min(within, rowElements * elementBytes - within) <= STRIDE_BYTES;
  };
  const isEdge = (offsetBytes: number) =>
    offsetBytes === 0 || offsetBytes === end || (rowElements > 0 && isRowEdge(offsetBytes));
  const runs = zeroRuns.filter((run) => rowElements === 0 || !isEdge(run.start) || !isEdge(run.end));
  const [run] = runs;
  if (run === undefined) return findings;
  const zeroBytes = runs.reduce((sum, { start, end: stop }) => sum + stop - start, 0);
  return [...findings, { kind: `${side}-zeros`, count: zeroBytes, first: at(run.start) }];
}
