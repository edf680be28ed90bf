/** A worker's share of a merge: read a segment straight into the kernel's memory, sum it there, write it at its place. */
import { crc32 } from "node:zlib";
import { PAGE_BYTES } from "../files/direct.js";
import { ElementReader } from "../files/element-reader.js";
import { type ShardFile, writeSegment } from "../files/output-file.js";
import type { Kernel } from "../kernel/kernel.js";
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import { bitsOf } from "../tensor.js";
import {
  SEGMENTS_AT_ONCE,
  type Segment,
  type SegmentedJob,
  stopWorkers,
  workOnSegments,
} from "../workers/segments.js";
import { addFindings } from "./findings.js";
import type { MergeTask } from "./merge-tasks.js";
import { loadSegment, SUM_PLACE_BYTES, sumPlaceAt, targetSegment } from "./sum-segment.js";

/** A merge as the workers get it. Its counts: the bytes written to each shard, then the findings of each tensor. */
export interface MergeJob extends SegmentedJob<MergeTask> {
  /** The shards; null where none of the runs writes to it. */
  readonly outputs: readonly (ShardFile | null)[];
  readonly kernel: CompiledKernel;
  /** The CRC-32 of each segment's bytes in the target, as they are written; null where the format has none. */
  readonly checksums: Uint32Array<SharedArrayBuffer> | null;
}

/** Takes and merges segments until the job is done. Throws what reading or writing throws. */
export async function runJob(job: MergeJob): Promise<void> {
  const kernel = instantiateKernel(job.kernel, SEGMENTS_AT_ONCE * SUM_PLACE_BYTES);
  const reader = new ElementReader(() => stopWorkers(job.shared));
  try {
    await workOnSegments(job, SEGMENTS_AT_ONCE, (segment, number) =>
      mergeSegment(job, segment, number * SUM_PLACE_BYTES, kernel, reader),
    );
  } finally {
    reader.close();
  }
}

async function mergeSegment(
  job: MergeJob,
  { run: task, first, count, number }: Segment<MergeTask>,
  memoryAt: number,
  kernel: Kernel,
  reader: ElementReader,
): Promise<void> {
  const place = sumPlaceAt(memoryAt);
  const loaded = await loadSegment(
    { task, first: task.firstElement + first, count, place },
    kernel.memory,
    reader,
  );
  const elementBytes = bitsOf(task.dtype) / 8;
  const offsetBytes = task.outputOffsetBytes + first * elementBytes;
  const { at, findings } = targetSegment(loaded, kernel, offsetBytes % PAGE_BYTES);
  addFindings(job.shared.counts, job.outputs.length, task.tensorNumber, findings);
  const byteLength = count * elementBytes;
  // Before the write: that moves the bytes to where their pages are.
  if (job.checksums !== null) job.checksums[number] = crc32(kernel.memory.subarray(at, at + byteLength));
  const output = job.outputs[task.shard] as ShardFile;
  await writeSegment(output, kernel.memory, at, byteLength, offsetBytes);
  Atomics.add(job.shared.counts, task.shard, BigInt(byteLength));
}
