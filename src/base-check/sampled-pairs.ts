/** What the samples of two models have in common: pairs of tensors, and runs of elements that are read of both. */
import { openView, plainView } from "../files/gather.js";
import type { CompiledKernel } from "../kernel/select.js";
import { elementCount, isFloatDType, type ReadableFile, type TensorView } from "../tensor.js";
import type { ViewRange } from "../workers/reads.js";

export type View = TensorView<ReadableFile>;

/** Two models to sample, as plain data. */
export interface PairJob {
  readonly base: readonly View[];
  /** The delta's tensors, or the tuned model's. */
  readonly other: readonly View[];
  readonly kernel: CompiledKernel;
}

export function pairJob(base: readonly View[], other: readonly View[], kernel: CompiledKernel): PairJob {
  return { base: base.map(plainView), other: other.map(plainView), kernel };
}

/** A tensor of the base and the one of the same name beside it. */
export type ViewPair = readonly [base: View, other: View];

/** The pairs of non-empty float tensors that `isComparable` accepts, in the order of `other`. */
export function pairViews(
  base: readonly View[],
  other: readonly View[],
  isComparable: (base: View, other: View) => boolean,
): ViewPair[] {
  const byName = new Map(base.map((tensor) => [tensor.name, tensor]));
  return other.flatMap((tensor) => {
    const partner = byName.get(tensor.name);
    if (partner === undefined || !hasFloats(partner) || !hasFloats(tensor)) return [];
    return isComparable(partner, tensor) ? [[partner, tensor] as const] : [];
  });
}

/**
 * As the files of the second model hold them: what lies side by side is read at once, whatever comes first in the model.
 * Over a network a sample is as slow as it has requests.
 */
export function inFileOrder(pairs: readonly ViewPair[]): ViewPair[] {
  return [...pairs].sort(
    (
      [
        ,
        {
          pieces: [a],
        },
      ],
      [
        ,
        {
          pieces: [b],
        },
      ],
    ) => (a.file.path === b.file.path ? a.offsetBytes - b.offsetBytes : a.file.path < b.file.path ? -1 : 1),
  );
}

function hasFloats({ dtype, shape }: View): boolean {
  return isFloatDType(dtype) && elementCount(shape) > 0;
}

/** Elements of the rows that both have. */
export function sharedCount([base, other]: ViewPair): number {
  return Math.min(elementCount(base.shape), elementCount(other.shape));
}

/** A run of elements, in row-major order. */
export interface ElementRun {
  readonly first: number;
  readonly count: number;
}

/** A run of elements that is read of both tensors. */
export interface SampledRun extends ElementRun {
  readonly pair: ViewPair;
}

export function* rangesOfRuns(runs: Iterable<SampledRun>): Generator<ViewRange> {
  for (const { pair, first, count } of runs)
    for (const tensor of pair) yield { view: openView(tensor), first, count };
}
