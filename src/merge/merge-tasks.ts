/** A plan cut into tasks: runs of elements of one target tensor that are all made the same way, as plain data. */

import { PAGE_BYTES } from "../files/direct.js";
import { type OpenView, openView } from "../files/gather.js";
import { denseBlockOf } from "../files/stretches.js";
import type { Operation } from "../kernel/kernel.js";
import { hasRowsOfTokens, isRotaryBuffer } from "../llama/tensor-names.js";
import {
  bitsOf,
  blockElements,
  bytesOf,
  type DType,
  elementCount,
  type SumDType,
  type TargetDType,
  type TensorView,
} from "../tensor.js";
import type { RunInput } from "../workers/reads.js";
import { LARGEST_SEGMENT_BYTES, type Run, SEGMENT_BYTES } from "../workers/segments.js";
import type { CopiedBytes, MergePlan, PlannedSum, PlannedTensor } from "./merge-plan.js";

/** One row that stands for any number of rows of the base: what new rows of an embedding are added to. */
export interface RepeatedRow {
  /** In the sum's dtype. */
  readonly row: Uint8Array;
}

export function isRepeatedRow(base: OpenView | RepeatedRow): base is RepeatedRow {
  return "row" in base;
}

/** A run of elements of one target tensor that are all made the same way. */
export type MergeTask = SumTask | CopyTask;

interface TensorRun extends Run {
  readonly tensor: string;
  readonly tensorNumber: number;
  /** The range of elements, in row-major order of the tensor. */
  readonly firstElement: number;
  readonly elementCount: number;
  readonly segmentElements: number;
  /** Later segments begin at multiples of their length in the shard's file: see `Run`, and output-file.ts. */
  readonly lead: number;
  readonly shard: number;
  /** Where the task's first element goes in the shard's file. */
  readonly outputOffsetBytes: number;
}

/** Elements no arithmetic is for: their bytes are copied. */
export interface CopyTask extends TensorRun {
  readonly dtype: DType;
  readonly copied: OpenView<DType>;
}

export function isCopy(task: MergeTask): task is CopyTask {
  return "copied" in task;
}

export interface SumTask extends TensorRun {
  readonly operation: Operation;
  readonly sumDType: SumDType;
  readonly dtype: TargetDType;
  /** What is added to or taken away; null where nothing is. */
  readonly base: OpenView | RepeatedRow | null;
  /** The delta or the tuned model; null where the tensor is the base's. */
  readonly delta: OpenView | null;
  /** Elements of a row whose values may all be zero (embeddings); 0 in other matrices, null in vectors. */
  readonly rowElements: number | null;
  /** Whether every comparable sum is exact if the base is the right one: docs/base-check.md. */
  readonly isProof: boolean;
  /** What the delta is multiplied by before it is added. */
  readonly scale: number;
}

/**
 * Cuts the plan into tasks, in the order of the bytes in the target, shards that are there already apart. `newRows` has
 * the row of the base that a grown tensor's new rows are added to.
 */
export function mergeTasks(
  plan: MergePlan,
  newRows: ReadonlyMap<PlannedTensor, Uint8Array>,
  isMade: (shard: number) => boolean,
): MergeTask[] {
  const tasks: MergeTask[] = [];
  const numbers = new Map(plan.tensors.map((tensor, number) => [tensor, number]));
  for (const [shard, { placed }] of plan.shards.entries()) {
    for (const place of isMade(shard) ? [] : placed) {
      const { tensor, offsetBytes } = place;
      const tensorNumber = numbers.get(tensor) as number;
      if (tensor.sumDType === null) {
        if (elementCount(tensor.shape) > 0)
          tasks.push({ ...copyOf(tensor, offsetBytes), tensorNumber, shard });
        continue;
      }
      for (const part of tensorParts(tensor, offsetBytes, plan.scale, newRows.get(tensor)))
        tasks.push({ ...part, operation: plan.operation, tensorNumber, shard });
    }
  }
  return tasks;
}

function copyOf(tensor: CopiedBytes, outputOffsetBytes: number): Omit<CopyTask, "tensorNumber" | "shard"> {
  const { name, dtype, shape } = tensor;
  return {
    tensor: name,
    dtype,
    copied: openView<DType>((tensor.delta ?? tensor.base) as TensorView),
    firstElement: 0,
    elementCount: elementCount(shape),
    segmentElements: (8 * SEGMENT_BYTES) / bitsOf(dtype),
    lead: leadOf(outputOffsetBytes, dtype),
    outputOffsetBytes,
  };
}

/** So many elements the first segment of those at an offset is shorter by: all later ones begin where pages do. */
export function leadOf(offsetBytes: number, dtype: DType): number {
  const block = blockElements(dtype);
  const blockBytes = (block * bitsOf(dtype)) / 8;
  for (let blocks = 0; blocks < PAGE_BYTES; blocks++)
    if ((offsetBytes - blocks * blockBytes) % PAGE_BYTES === 0) return blocks * block;
  return 0;
}

/** As many as there is room for; in whole heads where their rows are reordered, so that none is read for two segments. */
function segmentOf(elementBytes: number, views: readonly (OpenView | null)[]): number {
  const most = SEGMENT_BYTES / elementBytes;
  const block = Math.max(...views.map((view) => (view === null ? 1 : denseBlockOf(view))));
  if (block <= most) return most - (most % block);
  return block * elementBytes <= LARGEST_SEGMENT_BYTES ? block : most;
}

type TaskPart = Omit<SumTask, "operation" | "tensorNumber" | "shard">;

/** One task for a tensor; two where the delta has rows the base lacks. Empty tensors need none. */
function tensorParts(
  tensor: PlannedSum,
  offsetBytes: number,
  planScale: number,
  newRow: Uint8Array | undefined,
): TaskPart[] {
  const { base, delta, sumDType, dtype } = tensor;
  const total = elementCount(tensor.shape);
  // A tensor that only the delta has isn't a difference, so it isn't scaled.
  const scale = base === null ? 1 : planScale;
  const views = [base, delta].map((view) => (view === null ? null : openView(view)));
  const [ofBase = null, ofDelta = null] = views;
  // A scaled delta passes through float32.
  const widest = Math.max(
    bitsOf(dtype) / 8,
    scale === 1 ? 0 : bytesOf("F32"),
    ...views.map((view) => (view === null ? 0 : bytesOf(view.dtype))),
  );
  const segmentElements = segmentOf(widest, views);
  const part = (from: TaskPart["base"], firstElement: number, count: number): TaskPart => {
    const outputOffsetBytes = offsetBytes + (firstElement * bitsOf(dtype)) / 8;
    return {
      tensor: tensor.name,
      sumDType,
      dtype,
      base: from,
      delta: ofDelta,
      rowElements: tensor.shape.length < 2 ? null : hasRowsOfTokens(tensor.name) ? (tensor.shape[1] ?? 0) : 0,
      isProof: from !== null && !isRepeatedRow(from) && scale === 1 && !isRotaryBuffer(tensor.name),
      scale,
      firstElement,
      elementCount: count,
      segmentElements,
      lead: leadOf(outputOffsetBytes, dtype),
      outputOffsetBytes,
    };
  };
  const shared = base === null ? total : Math.min(total, elementCount(base.shape));
  const parts = [part(ofBase, 0, shared)];
  if (shared < total) {
    if (newRow === undefined) throw new Error(`${tensor.name} has new rows and none to add them to`);
    parts.push(part({ row: newRow }, shared, total - shared));
  }
  return parts.filter(({ elementCount: count }) => count > 0);
}

/** What a task reads of each segment, in the order of sum-segment.ts. */
export function inputsOf(task: MergeTask): RunInput[] {
  const { firstElement } = task;
  if (isCopy(task)) return [{ view: task.copied, firstElement }];
  const { base, delta } = task;
  const fromBase = base === null || isRepeatedRow(base) ? [] : [base];
  const views = delta === null ? fromBase : [delta, ...fromBase];
  return views.map((view) => ({ view, firstElement }));
}
