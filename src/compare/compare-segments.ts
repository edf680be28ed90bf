/**
 * A worker's share of a comparison. Both ranges are read into the kernel's memory and compared there as bytes, at the
 * speed of memcmp; only a segment that differs is looked at element by element. Each worker counts into rows of its
 * own, which are added up when all have ended.
 */
import { gather, type OpenView } from "../files/gather.js";
import type { Kernel } from "../kernel/kernel.js";
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import { bitsOf, type DType, type FloatDType } from "../tensor.js";
import { type Run, type SegmentedJob, takeSegments } from "../workers/segments.js";
import type { Tolerance } from "./documents.js";
import { ROW_LENGTH, tallyBits, tallyValues } from "./element-tally.js";

/**
 * The longest range that is read of either side at a time. From 128 KiB to 1 MiB the speed is the same; smaller ones are
 * slower, larger ones only take memory.
 */
export const COMPARED_BYTES = 256 * 1024;

/** Memory regions: both sides as they are read, and both as float32, which 16-bit elements double in. */
const [A_AT, B_AT, A_FLOATS_AT, B_FLOATS_AT] = [0, 1, 2, 4].map((n) => n * COMPARED_BYTES) as [
  number,
  number,
  number,
  number,
];
const MEMORY_BYTES = 6 * COMPARED_BYTES;

/** Two tensors of one shape, to be compared element by element in row-major order. */
export interface CompareTask extends Run {
  /** Number of the task's rows. */
  readonly index: number;
  readonly a: OpenView<DType>;
  readonly b: OpenView<DType>;
  /** Whether the elements are floats, and so have differences; otherwise only bytes are compared. */
  readonly isFloat: boolean;
}

/** A comparison as the workers get it. */
export interface CompareJob extends SegmentedJob<CompareTask> {
  readonly tolerance: Tolerance;
  readonly kernel: CompiledKernel;
  /** For each worker, for each task, a row. */
  readonly rows: Float64Array<SharedArrayBuffer>;
  readonly taskCount: number;
}

/** What a comparison counts: workers that have begun, bytes of side a that are done. */
export const COUNTS = { workers: 0, bytesDone: 1 } as const;

/** Takes and compares segments until the job is done. Throws what reading throws. */
export function runJob(job: CompareJob): void {
  const { shared, tolerance, rows, taskCount } = job;
  const kernel = instantiateKernel(job.kernel, MEMORY_BYTES);
  const worker = Number(Atomics.add(shared.counts, COUNTS.workers, 1n));
  for (const { run: task, first, count } of takeSegments(job)) {
    const a = read(task.a, first, count, A_AT, kernel);
    const b = read(task.b, first, count, B_AT, kernel);
    const isSameDType = task.a.dtype === task.b.dtype;
    if (!isSameDType || Buffer.compare(a, b) !== 0) {
      const row = rows.subarray((worker * taskCount + task.index) * ROW_LENGTH).subarray(0, ROW_LENGTH);
      if (isSameDType) tallyBits(a, b, a.length / count, first, row);
      if (task.isFloat) {
        const x = numbers(task.a.dtype as FloatDType, A_AT, A_FLOATS_AT, count, kernel);
        const y = numbers(task.b.dtype as FloatDType, B_AT, B_FLOATS_AT, count, kernel);
        tallyValues(x, y, tolerance, first, row);
      }
    }
    Atomics.add(shared.counts, COUNTS.bytesDone, BigInt(a.length));
  }
}

function read(
  view: OpenView<DType>,
  first: number,
  count: number,
  at: number,
  { memory }: Kernel,
): Uint8Array {
  gather(view, first, count, memory, at);
  return memory.subarray(at, at + (count * bitsOf(view.dtype)) / 8);
}

/** The elements as numbers: float64 as it is, all others as float32, which holds each of their values. */
function numbers(dtype: FloatDType, at: number, floatsAt: number, count: number, kernel: Kernel) {
  const { buffer, byteOffset } = kernel.memory;
  if (dtype === "F64") return new Float64Array(buffer, byteOffset + at, count);
  if (dtype === "F32") return new Float32Array(buffer, byteOffset + at, count);
  kernel.convert(dtype, "F32", at, floatsAt, count);
  return new Float32Array(buffer, byteOffset + floatsAt, count);
}
