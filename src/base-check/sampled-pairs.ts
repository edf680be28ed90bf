/** What the samples of two models have in common: pairs of tensors, and runs of elements that are read of both. */
import { openView, plainView } from "../files/gather.js";
import type { CompiledKernel } from "../kernel/select.js";
import { isRotaryBuffer } from "../llama/tensor-names.js";
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

/**
 * The pairs of non-empty float tensors of one shape, but for rows that one side has more of (those of added tokens), in
 * the order of `other`. Rotary buffers are computed, whatever the model.
 */
export function pairViews(base: readonly View[], other: readonly View[]): ViewPair[] {
  const byName = new Map(base.map((tensor) => [tensor.name, tensor]));
  return other.flatMap((tensor) => {
    const partner = byName.get(tensor.name);
    return partner !== undefined && isComparable(partner, tensor) ? [[partner, tensor] as const] : [];
  });
}

function isComparable(base: View, other: View): boolean {
  const rest = ({ shape }: View) => shape.slice(1).join();
  const isAlike = base.shape.length === other.shape.length && rest(base) === rest(other);
  const rowsMayDiffer = base.shape.length === 2;
  if (!isAlike || !(rowsMayDiffer || base.shape[0] === other.shape[0])) return false;
  const hasFloats = ({ dtype, shape }: View) => isFloatDType(dtype) && elementCount(shape) > 0;
  return !isRotaryBuffer(other.name) && [base, other].every(hasFloats);
}

/**
 * As the files of the second model hold them: what lies side by side is read at once, whatever comes first in the model.
 * Over a network a sample is as slow as it has requests.
 */
export function inFileOrder(pairs: readonly ViewPair[]): ViewPair[] {
  const placeOf = ([, { pieces }]: ViewPair) => pieces[0];
  return [...pairs].sort((x, y) => {
    const [a, b] = [placeOf(x), placeOf(y)];
    if (a.file.path !== b.file.path) return a.file.path < b.file.path ? -1 : 1;
    return a.offsetBytes - b.offsetBytes;
  });
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

/** Longest run; also what the kernel's memory is sized by. */
export const MAX_RUN_ELEMENTS = 16 * 1024;

/** All of `total` elements. */
export function wholeRuns(total: number): ElementRun[] {
  return Array.from({ length: Math.ceil(total / MAX_RUN_ELEMENTS) }, (_, run) => {
    const first = run * MAX_RUN_ELEMENTS;
    return { first, count: Math.min(MAX_RUN_ELEMENTS, total - first) };
  });
}

/** Runs of `count` of `total` elements, from the first element to the last, evenly apart. */
export function spreadRuns(total: number, count: number, runs: number): ElementRun[] {
  return Array.from({ length: runs }, (_, run) => ({
    first: Math.floor(((total - count) * run) / Math.max(1, runs - 1)),
    count,
  }));
}

/** A run of elements that is read of both tensors. */
export interface SampledRun extends ElementRun {
  readonly pair: ViewPair;
}

export function* rangesOfRuns(runs: Iterable<SampledRun>): Generator<ViewRange> {
  for (const { pair, first, count } of runs)
    for (const tensor of pair) yield { view: openView(tensor), first, count };
}
