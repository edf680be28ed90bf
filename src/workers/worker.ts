/** The entry of a worker thread: runs its share of a job and reports how it ended. */
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorData, isApplyDeltaError } from "../errors.js";
import { isStopped, type SegmentedJob, stopWorkers } from "./segments.js";

/** What a worker is started with: plain data and shared memory. */
export interface WorkerJob {
  /** URL of a module whose `runJob` does a thread's share of the job; what it returns goes back to the pool. */
  readonly module: string;
  readonly job: SegmentedJob;
}

/** What a worker posts when it ends. */
export type WorkerReport =
  | { readonly kind: "done"; readonly result: unknown }
  | { readonly kind: "failed"; readonly error: ErrorData }
  | { readonly kind: "crashed"; readonly error: unknown };

async function work({ module, job }: WorkerJob): Promise<WorkerReport> {
  try {
    const { runJob } = (await import(module)) as { runJob(job: SegmentedJob): unknown };
    return { kind: "done", result: await runJob(job) };
  } catch (error) {
    // A read that was cut short because the work was stopped is no failure of its own.
    if (isStopped(job.shared) && isApplyDeltaError(error, "interrupted"))
      return { kind: "done", result: undefined };
    stopWorkers(job.shared);
    if (!isApplyDeltaError(error)) return { kind: "crashed", error };
    const { code, message, details } = error;
    return { kind: "failed", error: { code, message, details } };
  }
}

// A read that waits for another thread keeps no thread alive by itself.
parentPort?.ref();
parentPort?.postMessage(await work(workerData as WorkerJob));
parentPort?.unref();
