/**
 * In: what to sample. Out: what was found. Work of one thread that reads weights before or beside the merge: this
 * thread's, where the files are on this machine, else a worker's, which may wait for the network (sample.ts).
 */

import type { BaseStatistics, LayerChange } from "../base-check/documents.js";
import { CHANGE_MEMORY_BYTES, changeRuns, measureChange } from "../base-check/layer-change.js";
import { BASE_SAMPLE_MEMORY_BYTES, baseRuns, sampleBase } from "../base-check/sample-base.js";
import type { OpenView } from "../files/gather.js";
import { openView } from "../files/gather.js";
import { noPause, type Pause } from "../interrupt.js";
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import { bytesOf, elementCount, type ReadableFile, type SumDType, type TensorView } from "../tensor.js";
import type { ViewRange } from "../workers/reads.js";
import type { SegmentedJob } from "../workers/segments.js";
import { MEAN_ROW_MEMORY_BYTES, meanRow } from "./mean-row.js";
import { inputsOf, type MergeTask } from "./merge-tasks.js";
import { SUM_MEMORY_BYTES, targetSegment } from "./sum-segment.js";

type Views = readonly TensorView<ReadableFile>[];

/** What can be sampled. */
export type Sample =
  /** Whether a base is the delta's: plan/base-check.ts. */
  | { readonly of: "base check"; readonly base: Views; readonly other: Views }
  /** How much two models differ: plan/layer-change.ts. */
  | { readonly of: "change"; readonly base: Views; readonly other: Views }
  /** The mean of a matrix's rows. */
  | { readonly of: "mean row"; readonly matrix: TensorView<ReadableFile>; readonly dtype: SumDType }
  /** What one element of a target should be: its bytes. */
  | { readonly of: "element"; readonly task: MergeTask; readonly element: number };

export interface SampleResults {
  readonly "base check": BaseStatistics;
  readonly change: LayerChange | null;
  readonly "mean row": Uint8Array;
  readonly element: Uint8Array;
}

/** A sample as a worker gets it. */
export interface SampleJob extends SegmentedJob {
  readonly sample: Sample;
  readonly kernel: CompiledKernel;
}

/** Elements of a matrix that is read from its beginning to its end, as they are announced. */
const BLOCK_ELEMENTS = 512 * 1024;

/** A worker's share: all of it. */
export function runJob(job: SampleJob): Promise<unknown> {
  return runSample(job, noPause);
}

/** Reads and computes, in this thread, with pauses. Throws what reading throws. */
export async function runSample(
  { sample, kernel }: Pick<SampleJob, "sample" | "kernel">,
  pause: Pause,
): Promise<unknown> {
  switch (sample.of) {
    case "base check":
      return sampleBase(
        sample.base,
        sample.other,
        instantiateKernel(kernel, BASE_SAMPLE_MEMORY_BYTES),
        pause,
      );
    case "change":
      return measureChange(sample.base, sample.other, instantiateKernel(kernel, CHANGE_MEMORY_BYTES), pause);
    case "mean row":
      return meanRow(sample.matrix, sample.dtype, instantiateKernel(kernel, MEAN_ROW_MEMORY_BYTES));
    case "element": {
      const { task, element } = sample;
      const instance = instantiateKernel(kernel, SUM_MEMORY_BYTES);
      const { at } = targetSegment(task, element, 1, instance);
      return instance.memory.slice(at, at + bytesOf(task.dtype));
    }
  }
}

/** The files that a sample may read. */
export function filesOfSample(sample: Sample): ReadableFile[] {
  if (sample.of === "element") return inputsOf(sample.task).map(({ view }) => view);
  const views = sample.of === "mean row" ? [sample.matrix] : [...sample.base, ...sample.other];
  return views.map(({ file }) => file);
}

/** What `runSample` reads, in its order. */
export function* rangesOfSample(sample: Sample): Generator<ViewRange> {
  if (sample.of === "element") {
    for (const { view } of inputsOf(sample.task)) yield { view, first: sample.element, count: 1 };
    return;
  }
  if (sample.of === "mean row") {
    const view: OpenView = openView(sample.matrix);
    const total = elementCount(view.shape);
    for (let first = 0; first < total; first += BLOCK_ELEMENTS)
      yield { view, first, count: Math.min(BLOCK_ELEMENTS, total - first) };
    return;
  }
  const runs = sample.of === "base check" ? baseRuns : changeRuns;
  for (const { base, other, first, length } of runs(sample.base, sample.other)) {
    yield { view: openView(base), first, count: length };
    yield { view: openView(other), first, count: length };
  }
}
