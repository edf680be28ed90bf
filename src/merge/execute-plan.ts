import type { ShardFile } from "../files/output-file.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { Finding } from "../target/findings.js";
import { runWorkers } from "../workers/pool.js";
import { readsOfJob } from "../workers/reads.js";
import { segmentedJob } from "../workers/segments.js";
import { COUNTERS_PER_TENSOR, readFindings } from "./findings.js";
import { fixedBytes, type MergePlan, type PlannedShard } from "./merge-plan.js";
import type { MergeJob } from "./merge-segments.js";
import { inputsOf, mergeTasks } from "./merge-tasks.js";
import { newRows } from "./new-rows.js";
import { checksumsFor, writeChecksums } from "./tensor-crc32s.js";

const JOB_MODULE = new URL("./merge-segments.js", import.meta.url).href;

export interface Progress {
  readonly bytesWritten: number;
  /** Number of the first shard that isn't complete, from 0. */
  readonly shard: number;
}

export interface ExecuteOptions {
  readonly plan: MergePlan;
  /** One for each shard of the plan; null where the shard is there already. */
  readonly outputs: readonly (ShardFile | null)[];
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  onProgress(progress: Progress): void;
  /**
   * Called when the last byte of a shard is written; the others go on meanwhile, and the end waits for all. `findings`:
   * what was counted in the shard's tensors.
   */
  finishShard(shard: number, findings: readonly Finding[]): Promise<void>;
}

/** Fills the shards. Throws the first error a worker or `finishShard` met, or `interrupted`. */
export async function executePlan(options: ExecuteOptions): Promise<void> {
  const { plan, outputs, kernel, threads, signal } = options;
  const isMade = (shard: number) => outputs[shard] === null;
  const rows = await newRows(plan, isMade, kernel, signal);
  const tasks = mergeTasks(plan, rows, isMade);
  const countsLength = outputs.length + COUNTERS_PER_TENSOR * plan.tensors.length;
  const segmented = segmentedJob(tasks, countsLength);
  const checksums = checksumsFor(plan, segmented.segmentCount);
  const job: MergeJob = { ...segmented, outputs, kernel, checksums };
  const findingsOf = ({ placed }: PlannedShard) => {
    const tensors = new Set(placed.map(({ tensor }) => tensor));
    return readFindings(job.shared.counts, outputs.length, plan.tensors, (tensor) => tensors.has(tensor));
  };
  for (const [shard, output] of outputs.entries()) {
    if (output === null) job.shared.counts[shard] = BigInt(dataBytes(plan.shards[shard] as PlannedShard));
  }
  const finishing = new Map<number, Promise<void>>();
  const failures: unknown[] = [];
  const throwIfFailed = () => {
    if (failures.length > 0) throw failures[0];
  };
  const finish = async (shard: number, planned: PlannedShard) => {
    writeChecksums(job, shard, planned);
    await options.finishShard(shard, findingsOf(planned));
  };
  const onTick = () => {
    throwIfFailed();
    options.onProgress(readProgress(job, plan));
    for (const [shard, planned] of plan.shards.entries()) {
      if (outputs[shard] === null || finishing.has(shard)) continue;
      if (Number(Atomics.load(job.shared.counts, shard)) < dataBytes(planned)) continue;
      const whenDone = finish(shard, planned).catch((error: unknown) => {
        failures.push(error);
      });
      finishing.set(shard, whenDone);
    }
  };
  try {
    const reads = readsOfJob(job, inputsOf);
    await runWorkers({ module: JOB_MODULE, job }, { threads, signal, reads, onTick });
  } finally {
    // A shard that is being finished when the run ends is one more to go on from.
    await Promise.all(finishing.values());
  }
  throwIfFailed();
}

function dataBytes(shard: PlannedShard): number {
  return shard.byteLength - fixedBytes(shard);
}

function readProgress({ shared }: MergeJob, plan: MergePlan): Progress {
  let bytesWritten = 0;
  let current = -1;
  for (const [shard, planned] of plan.shards.entries()) {
    const written = Number(Atomics.load(shared.counts, shard));
    bytesWritten += written + fixedBytes(planned);
    if (written < dataBytes(planned) && current < 0) current = shard;
  }
  return { bytesWritten, shard: current < 0 ? plan.shards.length - 1 : current };
}
