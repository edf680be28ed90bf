/**
 * The arithmetic of a segment: what the target has there, in the kernel's memory. No element is allocated: inputs are
 * read straight into the memory's regions.
 */
import { gather, type OpenView } from "../files/gather.js";
import type { Kernel } from "../kernel/kernel.js";
import { bytesOf, type SumDType } from "../tensor.js";
import { SEGMENT_BYTES } from "../workers/segments.js";
import { isRepeatedRow, type MergeTask } from "./merge-tasks.js";
import { countLosses, type Losses } from "./rounding-losses.js";

const BASE_REGION = 0;
const DELTA_REGION = SEGMENT_BYTES;

/** A region the sum never ends in: free for what becomes of it. */
const RESULT_REGION = 2 * SEGMENT_BYTES;

/** What a kernel for `targetSegment` needs: three regions of a segment each. */
export const SUM_MEMORY_BYTES = 3 * SEGMENT_BYTES;

export interface SegmentResult {
  /** Where the elements are. */
  readonly at: number;
  /** Null where nothing was taken away. */
  readonly losses: Losses | null;
}

/** Leaves elements [first, first + count) of the tensor, as they stand in the target, in memory. */
export function targetSegment(task: MergeTask, first: number, count: number, kernel: Kernel): SegmentResult {
  const result = sumSegment(task, first, count, kernel);
  if (task.dtype === task.sumDType) return result;
  kernel.convert(task.sumDType, task.dtype, result.at, RESULT_REGION, count);
  return { ...result, at: RESULT_REGION };
}

/** The same in `task.sumDType`. */
function sumSegment(task: MergeTask, first: number, count: number, kernel: Kernel): SegmentResult {
  const { base, delta, sumDType, scale, operation } = task;
  if (delta === null) {
    return { at: readInto(base as OpenView, sumDType, first, count, BASE_REGION, kernel), losses: null };
  }
  const deltaAt = readInto(delta, sumDType, first, count, DELTA_REGION, kernel);
  if (base === null) return { at: deltaAt, losses: null };
  if (scale !== 1) multiply(sumDType, deltaAt, count, scale, kernel);
  let baseAt = BASE_REGION;
  if (isRepeatedRow(base))
    fillWithRow(base.row, first * bytesOf(sumDType), count * bytesOf(sumDType), kernel);
  else baseAt = readInto(base, sumDType, first, count, BASE_REGION, kernel);
  if (operation === "subtract") return difference(sumDType, deltaAt, baseAt, count, kernel);
  kernel.add(sumDType, baseAt, deltaAt, deltaAt, count);
  return { at: deltaAt, losses: null };
}

/** Takes the base from the tuned model, adds the difference to the base again and compares. Uses the base up. */
function difference(
  dtype: SumDType,
  tunedAt: number,
  baseAt: number,
  count: number,
  kernel: Kernel,
): SegmentResult {
  // The base is in one of two regions; the other is free.
  const at = baseAt === BASE_REGION ? RESULT_REGION : BASE_REGION;
  kernel.subtract(dtype, tunedAt, baseAt, at, count);
  kernel.add(dtype, baseAt, at, baseAt, count);
  return { at, losses: countLosses(dtype, kernel.memory, tunedAt, baseAt, count) };
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
