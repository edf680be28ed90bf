/** What one element of a target should be: read and computed again, for a message. */
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import { inputsOf, type MergeTask } from "../merge/merge-tasks.js";
import { SUM_MEMORY_BYTES, targetSegment } from "../merge/sum-segment.js";
import { bytesOf } from "../tensor.js";
import type { Sample } from "../workers/sample.js";

export interface ElementJob {
  readonly task: MergeTask;
  readonly element: number;
  readonly kernel: CompiledKernel;
}

/** Its bytes, in the target's dtype. */
export const expectedElement: Sample<ElementJob, Uint8Array> = {
  module: import.meta.url,
  runJob,
  rangesOf: ({ task, element }) => inputsOf(task).map(({ view }) => ({ view, first: element, count: 1 })),
};

export function runJob({ task, element, kernel: compiled }: ElementJob): Uint8Array {
  const kernel = instantiateKernel(compiled, SUM_MEMORY_BYTES);
  const { at } = targetSegment(task, element, 1, kernel);
  return kernel.memory.slice(at, at + bytesOf(task.dtype));
}
