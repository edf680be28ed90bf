/**
 * In: a job. Out: its segments, merged and written, until none is left or the stop flag is set.
 * Runs in every worker at once: a segment is taken by adding one to a shared counter, read straight into the
 * kernel's memory, summed there, and written at its place. Nothing else is allocated or shared.
 */
import { gather, type OpenView } from "../checkpoint/gather.js";
import type { Kernel } from "../kernel/kernel.js";
import { instantiateKernel } from "../kernel/select.js";
import { type ShardFile, writeSegment } from "../output/shard-file.js";
import { bytesOf, type SumDType } from "../tensor.js";
import { isRepeatedRow, type Job, NEXT_SEGMENT, SEGMENT_BYTES, STOP, type Task } from "./job.js";

/** The kernel's memory: three regions of a segment each. */
const BASE_REGION = 0;
const DELTA_REGION = SEGMENT_BYTES;
const RESULT_REGION = 2 * SEGMENT_BYTES;
const MEMORY_BYTES = 3 * SEGMENT_BYTES;

/** Takes and merges segments until the job is done. Throws what reading or writing throws. */
export function mergeSegments(job: Job): void {
  const kernel = instantiateKernel(job.kernel, MEMORY_BYTES);
  const { control, written } = job.shared;
  while (Atomics.load(control, STOP) === 0) {
    const segment = Atomics.add(control, NEXT_SEGMENT, 1);
    if (segment >= job.segmentCount) return;
    const task = taskOf(job.tasks, segment);
    const byteLength = mergeSegment(job, task, segment - task.firstSegment, kernel);
    Atomics.add(written, task.shard, BigInt(byteLength));
  }
}

/** The task a segment belongs to: the last that starts at or before it. */
function taskOf(tasks: readonly Task[], segment: number): Task {
  let low = 0;
  let high = tasks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((tasks[middle] as Task).firstSegment <= segment) low = middle;
    else high = middle - 1;
  }
  return tasks[low] as Task;
}

function mergeSegment(job: Job, task: Task, number: number, kernel: Kernel): number {
  const skipped = Math.max(0, number * task.segmentElements - task.lead);
  const end = Math.min((number + 1) * task.segmentElements - task.lead, task.elementCount);
  const count = end - skipped;
  const first = task.firstElement + skipped;
  const sumAt = sumSegment(task, first, count, kernel);
  const resultAt = task.dtype === task.sumDType ? sumAt : RESULT_REGION;
  if (resultAt !== sumAt) kernel.convert(task.sumDType, task.dtype, sumAt, resultAt, count);
  const byteLength = count * bytesOf(task.dtype);
  const offsetBytes = task.outputOffsetBytes + skipped * bytesOf(task.dtype);
  writeSegment(job.outputs[task.shard] as ShardFile, kernel.memory, resultAt, byteLength, offsetBytes);
  return byteLength;
}

/** Leaves the elements in `task.sumDType` in memory and returns where. */
function sumSegment(task: Task, first: number, count: number, kernel: Kernel): number {
  const { base, delta, sumDType, scale } = task;
  if (delta === null) return readInto(base as OpenView, sumDType, first, count, BASE_REGION, kernel);
  const deltaAt = readInto(delta, sumDType, first, count, DELTA_REGION, kernel);
  if (base === null) return deltaAt;
  if (scale !== 1) multiply(sumDType, deltaAt, count, scale, kernel);
  let baseAt = BASE_REGION;
  if (isRepeatedRow(base))
    fillWithRow(base.row, first * bytesOf(sumDType), count * bytesOf(sumDType), kernel);
  else baseAt = readInto(base, sumDType, first, count, BASE_REGION, kernel);
  kernel.add(sumDType, baseAt, deltaAt, deltaAt, count);
  return deltaAt;
}

/** Multiplies in place as PyTorch 2 does: in float32, the factor rounded to float32, the product to the dtype. */
function multiply(dtype: SumDType, at: number, count: number, factor: number, kernel: Kernel): void {
  const floatsAt = dtype === "F32" ? at : RESULT_REGION;
  if (dtype !== "F32") kernel.convert(dtype, "F32", at, floatsAt, count);
  const floats = new Float32Array(kernel.memory.buffer, kernel.memory.byteOffset + floatsAt, count);
  const rounded = Math.fround(factor);
  for (let i = 0; i < count; i++) floats[i] = (floats[i] as number) * rounded;
  if (dtype !== "F32") kernel.convert("F32", dtype, floatsAt, at, count);
}

/** Fills the base's region with a row, again and again, as it stands at a position of the tensor. */
function fillWithRow(row: Uint8Array, positionBytes: number, byteLength: number, kernel: Kernel): void {
  let from = positionBytes % row.length;
  for (let done = 0; done < byteLength; ) {
    const piece = row.subarray(from, from + byteLength - done);
    kernel.memory.set(piece, BASE_REGION + done);
    done += piece.length;
    from = 0;
  }
}

/** Reads a range of elements and rounds them to `dtype`; returns where they are. */
function readInto(
  input: OpenView,
  dtype: SumDType,
  first: number,
  count: number,
  region: number,
  kernel: Kernel,
): number {
  gather(input, first, count, kernel.memory, region);
  if (input.dtype === dtype) return region;
  // Narrowing works in place. Only a base is ever widened, and it is used up before the result is needed.
  const at = bytesOf(dtype) > bytesOf(input.dtype) ? RESULT_REGION : region;
  kernel.convert(input.dtype, dtype, region, at, count);
  return at;
}
