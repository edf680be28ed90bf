/**
 * In: a task and a range of its elements. Out: what the target has there, in the kernel's memory.
 * Nothing is allocated: inputs are read straight into the memory's regions.
 */
import { gather, type OpenView } from "../checkpoint/gather.js";
import type { Kernel } from "../kernel/kernel.js";
import { bytesOf, type SumDType } from "../tensor.js";
import { isRepeatedRow, type MergeTask } from "./merge-tasks.js";
import { SEGMENT_BYTES } from "./segments.js";

const BASE_REGION = 0;
const DELTA_REGION = SEGMENT_BYTES;

/** A region the sum never ends in: free for what becomes of it. */
const RESULT_REGION = 2 * SEGMENT_BYTES;

/** What a kernel for `targetSegment` needs: three regions of a segment each. */
export const SUM_MEMORY_BYTES = 3 * SEGMENT_BYTES;

/** Leaves elements [first, first + count) of the tensor, in `task.sumDType`, in memory; returns where. */
function sumSegment(task: MergeTask, first: number, count: number, kernel: Kernel): number {
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

/** The same in `task.dtype`, as it stands in the target. */
export function targetSegment(task: MergeTask, first: number, count: number, kernel: Kernel): number {
  const sumAt = sumSegment(task, first, count, kernel);
  if (task.dtype === task.sumDType) return sumAt;
  kernel.convert(task.sumDType, task.dtype, sumAt, RESULT_REGION, count);
  return RESULT_REGION;
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
