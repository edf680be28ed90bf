/**
 * What the main thread tells the workers, and what they tell it: plain data and shared counters.
 * In: a plan and the files. Out: a job, a list of tasks cut into segments that any worker can take.
 */
import { type OpenView, openView } from "../checkpoint/gather.js";
import type { ErrorCode, ErrorDetails } from "../errors.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { MergePlan, PlacedTensor } from "../plan/merge-plan.js";
import { bytesOf, elementCount, type FloatDType, type SumDType, type TensorView } from "../tensor.js";

/**
 * Bytes of each of a worker's three regions (base, delta, result): the largest of a segment's three ranges.
 * Measured with `npm run bench`: below 128 KiB system calls show, above 1 MiB the data leaves the L2 cache.
 */
export const SEGMENT_BYTES = 256 * 1024;

/** A run of elements of one target tensor that are all made the same way. */
export interface Task {
  readonly tensor: string;
  readonly sumDType: SumDType;
  readonly dtype: SumDType;
  /** Null: the base counts as zeros (`delta` set) or the tensor is the base's (`delta` null). */
  readonly base: OpenView | null;
  readonly delta: OpenView | null;
  /** Whether something is added: with no base, zeros, so that -0 becomes +0 as in PyTorch. */
  readonly adds: boolean;
  /** The range of elements, in row-major order of the tensor. */
  readonly firstElement: number;
  readonly elementCount: number;
  readonly segmentElements: number;
  /** Number of this task's first segment among all segments of the job. */
  readonly firstSegment: number;
  readonly shard: number;
  /** Where the task's first element goes in the shard's file. */
  readonly outputOffsetBytes: number;
}

export interface Job {
  readonly tasks: readonly Task[];
  readonly segmentCount: number;
  /** Path and open descriptor of each shard being written. */
  readonly outputs: readonly { path: string; fd: number }[];
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

/** Cuts the plan into tasks, in the order of the bytes in the target. */
export function planTasks(plan: MergePlan): { tasks: Task[]; segmentCount: number } {
  const tasks: Task[] = [];
  let segmentCount = 0;
  for (const [shard, { placed }] of plan.shards.entries()) {
    for (const place of placed) {
      for (const part of tensorParts(place)) {
        const task = { ...part, shard, firstSegment: segmentCount };
        segmentCount += Math.ceil(task.elementCount / task.segmentElements);
        tasks.push(task);
      }
    }
  }
  return { tasks, segmentCount };
}

type TaskPart = Omit<Task, "shard" | "firstSegment">;

/** One task for a tensor; two where the delta has rows the base lacks. Empty tensors need none. */
function tensorParts({ tensor, offsetBytes }: PlacedTensor): TaskPart[] {
  const total = elementCount(tensor.shape);
  const shared = tensor.base === null ? 0 : Math.min(total, elementCount(tensor.base.shape));
  const part = (base: TensorView | null, firstElement: number, count: number): TaskPart => {
    const widest = Math.max(
      bytesOf(tensor.dtype),
      base === null ? 0 : bytesOf(base.dtype as FloatDType),
      tensor.delta === null ? 0 : bytesOf(tensor.delta.dtype as FloatDType),
    );
    return {
      tensor: tensor.name,
      sumDType: tensor.sumDType,
      dtype: tensor.dtype,
      base: base === null ? null : openView(base),
      delta: tensor.delta === null ? null : openView(tensor.delta),
      adds: tensor.action !== "copied",
      firstElement,
      elementCount: count,
      segmentElements: SEGMENT_BYTES / widest,
      outputOffsetBytes: offsetBytes + firstElement * bytesOf(tensor.dtype),
    };
  };
  const parts =
    tensor.action === "grown"
      ? [part(tensor.base, 0, shared), part(null, shared, total - shared)]
      : [part(tensor.base, 0, total)];
  return parts.filter(({ elementCount: count }) => count > 0);
}
