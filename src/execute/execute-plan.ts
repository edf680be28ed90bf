/**
 * In: a plan, the shard files, a number of threads. Out: the shards, filled.
 */
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import type { ShardFile } from "../output/shard-file.js";
import type { MergePlan, PlannedTensor } from "../plan/merge-plan.js";
import { bytesOf } from "../tensor.js";
import { MEAN_ROW_MEMORY_BYTES, meanRow } from "./mean-row.js";
import type { MergeJob } from "./merge-segments.js";
import { mergeTasks } from "./merge-tasks.js";
import { runWorkers } from "./pool.js";
import { segmentedJob } from "./segments.js";

export interface Progress {
  readonly bytesWritten: number;
  /** Number of the first shard that isn't complete, from 0. */
  readonly shard: number;
}

export interface ExecuteOptions {
  readonly plan: MergePlan;
  /** One for each shard of the plan. */
  readonly outputs: readonly ShardFile[];
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  onProgress(progress: Progress): void;
}

/** Fills the shards. Throws the first error a worker met, or `interrupted`. */
export async function executePlan(options: ExecuteOptions): Promise<void> {
  const { plan, outputs, kernel, threads, signal } = options;
  const tasks = mergeTasks(plan, (tensor) => newRow(tensor, kernel));
  const job: MergeJob = { ...segmentedJob(tasks, outputs.length), outputs, kernel };
  const onTick = () => options.onProgress(readProgress(job, plan));
  await runWorkers({ kind: "merge", job }, { threads, signal, onTick });
}

/** The row of the base that stands for the rows it lacks: zeros, or the mean of those it has. */
function newRow(tensor: PlannedTensor, kernel: CompiledKernel): Uint8Array {
  const { base, sumDType, newRows } = tensor;
  if (base === null || newRows !== "mean") return new Uint8Array((tensor.shape[1] ?? 0) * bytesOf(sumDType));
  return meanRow(base, sumDType, instantiateKernel(kernel, MEAN_ROW_MEMORY_BYTES));
}

function readProgress({ shared }: MergeJob, plan: MergePlan): Progress {
  let bytesWritten = 0;
  let current = -1;
  for (const [shard, { byteLength, header }] of plan.shards.entries()) {
    const written = Number(Atomics.load(shared.counts, shard)) + header.length;
    bytesWritten += written;
    if (written < byteLength && current < 0) current = shard;
  }
  return { bytesWritten, shard: current < 0 ? plan.shards.length - 1 : current };
}
