/** The CRC-32 of whole tensors, joined from those of their segments, which the threads that wrote them made. */
import { joinCrc32 } from "../files/crc32.js";
import { type ShardFile, writeChecksum } from "../files/output-file.js";
import { bitsOf } from "../tensor.js";
import { segmentRange, segmentsOf } from "../workers/segments.js";
import type { MergePlan, PlannedShard } from "./merge-plan.js";
import type { MergeJob } from "./merge-segments.js";

/** A number for each segment, shared by all threads; null where no shard of the plan wants checksums. */
export function checksumsFor(plan: MergePlan, segmentCount: number): MergeJob["checksums"] {
  const areWanted = plan.shards.some(({ placed }) => placed.some(({ checksumAt }) => checksumAt.length > 0));
  return areWanted
    ? new Uint32Array(new SharedArrayBuffer(segmentCount * Uint32Array.BYTES_PER_ELEMENT))
    : null;
}

/** Writes those of a shard whose segments are all done. Errors: `no-space`, `target-unwritable`. */
export function writeChecksums(job: MergeJob, shard: number, { placed }: PlannedShard): void {
  const { checksums, outputs } = job;
  if (checksums === null) return;
  const ofTensors = joinSegments(job, shard, checksums);
  for (const { tensor, checksumAt } of placed) {
    for (const offsetBytes of checksumAt) {
      writeChecksum(outputs[shard] as ShardFile, ofTensors.get(tensor.name) as number, offsetBytes);
    }
  }
}

/** By tensor. A grown one has two runs; runs are in the order of the bytes. */
function joinSegments({ runs }: MergeJob, shard: number, checksums: Uint32Array): Map<string, number> {
  const ofTensors = new Map<string, number>();
  for (const run of runs.filter((candidate) => candidate.shard === shard)) {
    let checksum = ofTensors.get(run.tensor) ?? 0;
    for (let number = 0; number < segmentsOf(run); number++) {
      const byteLength = (segmentRange(run, number).count * bitsOf(run.dtype)) / 8;
      checksum = joinCrc32(checksum, checksums[run.firstSegment + number] as number, byteLength);
    }
    ofTensors.set(run.tensor, checksum);
  }
  return ofTensors;
}
