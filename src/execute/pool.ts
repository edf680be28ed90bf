/**
 * In: a plan, the shard files, a number of threads. Out: the shards, filled.
 * Guards: a worker that fails or dies stops the others and is an error, never a hang; an abort takes effect
 * within one segment.
 */
import { Worker } from "node:worker_threads";
import { ApplyDeltaError } from "../errors.js";
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import type { ShardFile } from "../output/shard-file.js";
import type { MergePlan, PlannedTensor } from "../plan/merge-plan.js";
import { bytesOf } from "../tensor.js";
import { type Job, planTasks, STOP, type WorkerReport } from "./job.js";
import { MEAN_ROW_MEMORY_BYTES, meanRow } from "./mean-row.js";

/** How often progress is reported. */
const PROGRESS_INTERVAL_MS = 100;

/** Workers hold a few objects; small heaps keep their garbage from growing into the memory bound. */
const WORKER_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 };

export interface Progress {
  readonly bytesWritten: number;
  /** Number of the first shard that isn't complete, from 0. */
  readonly shard: number;
}

export interface PoolOptions {
  readonly plan: MergePlan;
  readonly outputs: readonly ShardFile[];
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  onProgress(progress: Progress): void;
}

/** Fills the shards. Throws the first error a worker met, or `interrupted`. */
export async function executePlan(options: PoolOptions): Promise<void> {
  const { plan, outputs, kernel, signal } = options;
  const shared = {
    control: new Int32Array(new SharedArrayBuffer(8)),
    written: new BigInt64Array(new SharedArrayBuffer(8 * Math.max(1, outputs.length))),
  };
  const job: Job = { ...planTasks(plan, (tensor) => newRow(tensor, kernel)), outputs, kernel, shared };
  const stop = () => Atomics.store(shared.control, STOP, 1);
  const timer = setInterval(() => options.onProgress(readProgress(job, plan)), PROGRESS_INTERVAL_MS);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted === true) stop();
  try {
    const count = Math.max(1, Math.min(options.threads, job.segmentCount));
    const outcomes = await Promise.allSettled(Array.from({ length: count }, () => runWorker(job, stop)));
    const failure = outcomes.find((outcome) => outcome.status === "rejected");
    if (failure !== undefined) throw failure.reason;
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", stop);
  }
  throwIfAborted(signal);
  options.onProgress(readProgress(job, plan));
}

/** The row of the base that stands for the rows it lacks: zeros, or the mean of those it has. */
function newRow(tensor: PlannedTensor, kernel: CompiledKernel): Uint8Array {
  const { base, sumDType, newRows } = tensor;
  if (base === null || newRows !== "mean") return new Uint8Array((tensor.shape[1] ?? 0) * bytesOf(sumDType));
  return meanRow(base, sumDType, instantiateKernel(kernel, MEAN_ROW_MEMORY_BYTES));
}

/** Throws `interrupted` where the signal is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new ApplyDeltaError("interrupted", "Interrupted; the target was not made.", {
    hint: "Run the same command again to start over.",
  });
}

/** Settles when the thread has ended. */
function runWorker(job: Job, stop: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData: job,
      resourceLimits: WORKER_LIMITS,
    });
    let report: WorkerReport | undefined;
    const fail = (error: unknown) => {
      stop();
      reject(error);
    };
    worker.on("message", (message: WorkerReport) => {
      report = message;
    });
    worker.on("error", fail);
    worker.on("exit", (code) => {
      if (report?.kind === "done") resolve();
      else if (report?.kind === "failed")
        fail(new ApplyDeltaError(report.code, report.message, report.details));
      else if (report?.kind === "crashed") fail(report.error);
      else fail(new Error(`a worker thread ended early with code ${code}`));
    });
  });
}

function readProgress(job: Job, plan: MergePlan): Progress {
  let bytesWritten = 0;
  let current = -1;
  for (const [shard, { byteLength, header }] of plan.shards.entries()) {
    const written = Number(Atomics.load(job.shared.written, shard)) + header.length;
    bytesWritten += written;
    if (written < byteLength && current < 0) current = shard;
  }
  return { bytesWritten, shard: current < 0 ? plan.shards.length - 1 : current };
}
