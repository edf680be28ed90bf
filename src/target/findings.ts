/** What is counted of every element while weights are written, as the journal keeps it. */

/** What is counted. The order is that of the counters. */
export const FINDING_KINDS = [
  /** Sums that had to be rounded, where the lemma speaks of base and delta (kernel.ts, `SumCounts`). */
  "inexact",
  /** Infinities and NaN in the base. */
  "base-not-finite",
  "delta-not-finite",
  /** Infinities and NaN made of finite numbers: by the sum, by a scale, by a narrower dtype. */
  "made-not-finite",
  /** Bytes in runs of zeros within a matrix that isn't zero. */
  "base-zeros",
  "delta-zeros",
  /** Places that hold text. */
  "base-text",
  "delta-text",
  /** Elements of a tuned model that base + delta doesn't give back. */
  "lost",
  /** Of those, zeros that lose their sign. */
  "lost-zero-sign",
] as const;

export type FindingKind = (typeof FINDING_KINDS)[number];

/** What was found in one tensor. */
export interface Finding {
  readonly tensor: string;
  readonly kind: FindingKind;
  /** How many. */
  readonly count: number;
  /** Number of the first in row-major order, from 0; of inexact sums, of the first element of a segment with one. */
  readonly first: number;
}
