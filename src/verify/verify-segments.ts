/**
 * A worker's share of verifying: the target's bytes come from the disk, the sum is made again in the kernel's memory.
 */
import { DISK_READ_MARGIN_BYTES, readFromDisk } from "../files/disk-read.js";
import { gather, type OpenView } from "../files/gather.js";
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import type { MergeTask } from "../merge/merge-tasks.js";
import { SUM_MEMORY_BYTES, targetSegment } from "../merge/sum-segment.js";
import { bytesOf, isDense } from "../tensor.js";
import { lower, type Run, SEGMENT_BYTES, type SegmentedJob, takeSegments } from "../workers/segments.js";
import { countNotFinite } from "./count-not-finite.js";

/** A run of elements of one tensor of the target. */
export interface VerifyTask extends Run {
  /** Which tensor: the number of its counters. */
  readonly tensor: number;
  readonly target: OpenView;
  /** Reads the target past the page cache; null where that isn't possible. */
  readonly directFd: number | null;
  /** Where the run begins in the tensor. */
  readonly firstElement: number;
  /** How the elements are made; null where that isn't known. */
  readonly sum: MergeTask | null;
}

/** Its counters: bytes done, then `COUNTERS` for each tensor. */
export interface VerifyJob extends SegmentedJob<VerifyTask> {
  readonly kernel: CompiledKernel;
}

export const BYTES_DONE = 0;
const TENSORS_AT = 1;
const COUNTERS = 4;

/** What is counted of a tensor. */
export interface ElementCounts {
  readonly nan: number;
  readonly infinite: number;
  /** Elements that aren't what they should be. */
  readonly different: number;
  /** The first of them in row-major order; null where there is none. */
  readonly firstDifferent: number | null;
}

const NAN = 0;
const INFINITE = 1;
const DIFFERENT = 2;
/** One more than the element's number, so that 0 is none. */
const FIRST_DIFFERENT = 3;

export function countersFor(tensors: number): number {
  return TENSORS_AT + COUNTERS * tensors;
}

export function readCounts({ shared: { counts } }: VerifyJob, tensor: number): ElementCounts {
  const at = (counter: number) => Number(Atomics.load(counts, placeOf(tensor, counter)));
  const first = at(FIRST_DIFFERENT);
  return {
    nan: at(NAN),
    infinite: at(INFINITE),
    different: at(DIFFERENT),
    firstDifferent: first === 0 ? null : first - 1,
  };
}

function placeOf(tensor: number, counter: number): number {
  return TENSORS_AT + COUNTERS * tensor + counter;
}

/** A region behind those of the sum. */
const TARGET_REGION = SUM_MEMORY_BYTES;
const MEMORY_BYTES = TARGET_REGION + SEGMENT_BYTES + DISK_READ_MARGIN_BYTES;

/** Takes and verifies segments until the job is done. Throws what reading throws. */
export function runJob(job: VerifyJob): void {
  const kernel = instantiateKernel(job.kernel, MEMORY_BYTES);
  const { memory } = kernel;
  const { counts } = job.shared;
  for (const { run: task, first, count } of takeSegments(job)) {
    const { target, tensor, sum } = task;
    const firstElement = task.firstElement + first;
    const size = bytesOf(target.dtype);
    const at = readTarget(task, firstElement, count, memory);
    const { nan, infinite } = countNotFinite(memory, target.dtype, at, count);
    if (nan > 0) Atomics.add(counts, placeOf(tensor, NAN), BigInt(nan));
    if (infinite > 0) Atomics.add(counts, placeOf(tensor, INFINITE), BigInt(infinite));
    if (sum !== null) {
      const { at: wanted } = targetSegment(sum, firstElement, count, kernel);
      const found = compare(memory, wanted, at, count, size);
      if (found !== null) {
        Atomics.add(counts, placeOf(tensor, DIFFERENT), BigInt(found.different));
        lower(counts, placeOf(tensor, FIRST_DIFFERENT), BigInt(firstElement + found.first + 1));
      }
    }
    Atomics.add(counts, BYTES_DONE, BigInt(count * size));
  }
}

/** Reads elements of the target; returns where they begin, at a multiple of their size. */
function readTarget(
  { target, directFd }: VerifyTask,
  first: number,
  count: number,
  memory: Uint8Array,
): number {
  const size = bytesOf(target.dtype);
  if (!isDense(target.shape, target.strides)) {
    gather(target, first, count, memory, TARGET_REGION);
    return TARGET_REGION;
  }
  const offsetBytes = target.offsetBytes + first * size;
  const file = { path: target.path, fd: target.fd, directFd };
  const at = readFromDisk(file, memory, TARGET_REGION, count * size, offsetBytes);
  if (at % size === 0) return at;
  memory.copyWithin(TARGET_REGION, at, at + count * size);
  return TARGET_REGION;
}

/** Null where all bytes are equal, which is the usual case and a single comparison. */
function compare(
  memory: Uint8Array,
  wanted: number,
  got: number,
  count: number,
  size: number,
): { readonly different: number; readonly first: number } | null {
  const bytes = (at: number) => memory.subarray(at, at + count * size);
  if (Buffer.compare(bytes(wanted), bytes(got)) === 0) return null;
  let different = 0;
  let first = -1;
  for (let i = 0; i < count; i++) {
    let isEqual = true;
    for (let byte = i * size; byte < (i + 1) * size; byte++)
      if (memory[wanted + byte] !== memory[got + byte]) isEqual = false;
    if (isEqual) continue;
    different++;
    if (first < 0) first = i;
  }
  return { different, first };
}
