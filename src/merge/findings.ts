/** Counters of what a merge finds, shared by all threads: see target/findings.ts. */
import { FINDING_KINDS, type Finding, type FindingKind } from "../target/findings.js";
import { lower } from "../workers/segments.js";

export type SegmentFinding = Omit<Finding, "tensor">;

/** Counters of a tensor: for each kind how many, and the first + 1 (0: there is none). */
export const COUNTERS_PER_TENSOR = 2 * FINDING_KINDS.length;

/** Adds a segment's findings to its tensor's counters, which begin at `offset`. Any thread may. */
export function addFindings(
  counts: BigInt64Array<SharedArrayBuffer>,
  offset: number,
  tensorNumber: number,
  findings: readonly SegmentFinding[],
): void {
  for (const { kind, count, first } of findings) {
    const at = offset + COUNTERS_PER_TENSOR * tensorNumber + 2 * FINDING_KINDS.indexOf(kind);
    Atomics.add(counts, at, BigInt(count));
    lower(counts, at + 1, BigInt(first + 1));
  }
}

/** What was found in the tensors that are asked for, in the order given. */
export function readFindings<T extends { readonly name: string }>(
  counts: BigInt64Array<SharedArrayBuffer>,
  offset: number,
  tensors: readonly T[],
  isAsked: (tensor: T) => boolean,
): Finding[] {
  return tensors.flatMap((tensor, number) => {
    if (!isAsked(tensor)) return [];
    return FINDING_KINDS.flatMap((kind, index) => {
      const at = offset + COUNTERS_PER_TENSOR * number + 2 * index;
      const count = Number(Atomics.load(counts, at));
      const first = Number(Atomics.load(counts, at + 1)) - 1;
      return count === 0 ? [] : [{ tensor: tensor.name, kind, count, first }];
    });
  });
}

/** How many were found of some kinds, in all tensors. */
export function countFindings(findings: readonly Finding[], ...kinds: readonly FindingKind[]): number {
  return findings.reduce((sum, { kind, count }) => sum + (kinds.includes(kind) ? count : 0), 0);
}
