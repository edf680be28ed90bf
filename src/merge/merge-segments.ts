/** A worker's share of a merge: read a segment straight into the kernel's memory, sum it there, write it at its place. */
import { crc32 } from "node:zlib";
import { type ShardFile, writeSegment } from "../files/output-file.js";
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import { bitsOf } from "../tensor.js";
import { type SegmentedJob, takeSegments } from "../workers/segments.js";
import { addFindings } from "./findings.js";
import type { MergeTask } from "./merge-tasks.js";
import { SUM_MEMORY_BYTES, targetSegment } from "./sum-segment.js";

/** A merge as the workers get it. Its counts: the bytes written to each shard, then the findings of each tensor. */
export interface MergeJob extends SegmentedJob<MergeTask> {
  /** The shards; null where none of the runs writes to it. */
  readonly outputs: readonly (ShardFile | null)[];
  readonly kernel: CompiledKernel;
  /** The CRC-32 of each segment's bytes in the target, as they are written; null where the format has none. */
  readonly checksums: Uint32Array<SharedArrayBuffer> | null;
}

/** Takes and merges segments until the job is done. Throws what reading or writing throws. */
export function runJob(job: MergeJob): void {
  const kernel = instantiateKernel(job.kernel, SUM_MEMORY_BYTES);
  for (const { run: task, first, count, number } of takeSegments(job)) {
    const firstElement = task.firstElement + first;
    const { at: resultAt, findings } = targetSegment(task, firstElement, count, kernel);
    addFindings(job.shared.counts, job.outputs.length, task.tensorNumber, findings);
    const elementBytes = bitsOf(task.dtype) / 8;
    const byteLength = count * elementBytes;
    const offsetBytes = task.outputOffsetBytes + first * elementBytes;
    const output = job.outputs[task.shard] as ShardFile;
    // Before the write: that moves the bytes to where their pages are.
    if (job.checksums !== null) {
      job.checksums[number] = crc32(kernel.memory.subarray(resultAt, resultAt + byteLength));
    }
    writeSegment(output, kernel.memory, resultAt, byteLength, offsetBytes);
    Atomics.add(job.shared.counts, task.shard, BigInt(byteLength));
  }
}
