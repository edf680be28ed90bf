/**
 * What the main thread tells the workers, and what they tell it: plain data and shared counters.
 * In: a plan and the files. Out: a job, a list of tasks cut into segments that any worker can take.
 */
import { type OpenView, openView } from "../checkpoint/gather.js";
import type { ErrorCode, ErrorDetails } from "../errors.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { ShardFile } from "../output/shard-file.js";
import type { MergePlan, PlacedTensor, PlannedTensor } from "../plan/merge-plan.js";
import { bytesOf, elementCount, type FloatDType, type SumDType } from "../tensor.js";

/**
 * Bytes of each of a worker's three regions (base, delta, result): the largest of a segment's three ranges.
 * A write past the page cache waits for the disk, so fewer and larger ones are faster; `npm run bench` shows it. Above
 * this, memory grows and nothing is gained.
 */
export const SEGMENT_BYTES = 2 * 1024 * 1024;

/** One row that stands for any number of rows of the base: what new rows of an embedding are added to. */
export interface RepeatedRow {
  /** In the sum's dtype. */
  readonly row: Uint8Array;
}

export function isRepeatedRow(base: OpenView | RepeatedRow): base is RepeatedRow {
  return "row" in base;
}

/** A run of elements of one target tensor that are all made the same way. */
export interface Task {
  readonly tensor: string;
  readonly sumDType: SumDType;
  readonly dtype: SumDType;
  /** What is added to; null where nothing is added to the delta. */
  readonly base: OpenView | RepeatedRow | null;
  /** Null where the tensor is the base's. */
  readonly delta: OpenView | null;
  /** What the delta is multiplied by before it is added. */
  readonly scale: number;
  /** The range of elements, in row-major order of the tensor. */
  readonly firstElement: number;
  readonly elementCount: number;
  readonly segmentElements: number;
  /**
   * Elements by which the first segment is shorter, so that all later ones begin at a multiple of a segment's length
   * in the shard's file: whole pages can be written past the page cache, and cost a third less through it.
   */
  readonly lead: number;
  /** Number of this task's first segment among all segments of the job. */
  readonly firstSegment: number;
  readonly shard: number;
  /** Where the task's first element goes in the shard's file. */
  readonly outputOffsetBytes: number;
}

export interface Job {
  readonly tasks: readonly Task[];
  readonly segmentCount: number;
  /** The shards being written. */
  readonly outputs: readonly ShardFile[];
  readonly kernel: CompiledKernel;
  readonly shared: SharedCounters;
}

/** Counters all threads share. */
export interface SharedCounters {
  /** [next segment, stop flag] */
  readonly control: Int32Array<SharedArrayBuffer>;
  /** Bytes written to each shard. */
  readonly written: BigInt64Array<SharedArrayBuffer>;
}

/** Indices into `control`. */
export const NEXT_SEGMENT = 0;
export const STOP = 1;

/** What a worker posts when it ends. */
export type WorkerReport =
  | { readonly kind: "done" }
  | {
      readonly kind: "failed";
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: ErrorDetails;
    }
  | { readonly kind: "crashed"; readonly error: unknown };

/**
 * Cuts the plan into tasks, in the order of the bytes in the target. `newRowOf` gives the row of the base that a
 * grown tensor's new rows are added to.
 */
export function planTasks(
  plan: MergePlan,
  newRowOf: (tensor: PlannedTensor) => Uint8Array,
): { tasks: Task[]; segmentCount: number } {
  const tasks: Task[] = [];
  let segmentCount = 0;
  for (const [shard, { placed }] of plan.shards.entries()) {
    for (const place of placed) {
      for (const part of tensorParts(place, plan.scale, newRowOf)) {
        const task = { ...part, shard, firstSegment: segmentCount };
        segmentCount += Math.ceil((task.lead + task.elementCount) / task.segmentElements);
        tasks.push(task);
      }
    }
  }
  return { tasks, segmentCount };
}

type TaskPart = Omit<Task, "shard" | "firstSegment">;

/** One task for a tensor; two where the delta has rows the base lacks. Empty tensors need none. */
function tensorParts(
  { tensor, offsetBytes }: PlacedTensor,
  planScale: number,
  newRowOf: (tensor: PlannedTensor) => Uint8Array,
): TaskPart[] {
  const { base, delta, sumDType, dtype } = tensor;
  const total = elementCount(tensor.shape);
  // A tensor that only the delta has is no difference, and isn't scaled.
  const scale = base === null ? 1 : planScale;
  const inputs = [base, delta].filter((view) => view !== null);
  // A scaled delta passes through float32.
  const widest = Math.max(
    bytesOf(dtype),
    scale === 1 ? 0 : bytesOf("F32"),
    ...inputs.map((view) => bytesOf(view.dtype as FloatDType)),
  );
  const segmentElements = SEGMENT_BYTES / widest;
  const part = (from: TaskPart["base"], firstElement: number, count: number): TaskPart => {
    const outputOffsetBytes = offsetBytes + firstElement * bytesOf(dtype);
    return {
      tensor: tensor.name,
      sumDType,
      dtype,
      base: from,
      delta: delta === null ? null : openView(delta),
      scale,
      firstElement,
      elementCount: count,
      segmentElements,
      lead: Math.floor(outputOffsetBytes / bytesOf(dtype)) % segmentElements,
      outputOffsetBytes,
    };
  };
  const shared = base === null ? total : Math.min(total, elementCount(base.shape));
  const parts = [part(base === null ? null : openView(base), 0, shared)];
  if (shared < total) parts.push(part({ row: newRowOf(tensor) }, shared, total - shared));
  return parts.filter(({ elementCount: count }) => count > 0);
}
