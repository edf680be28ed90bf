/** The entry of a worker thread: runs its share of a job and reports how it ended. */
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorData, isApplyDeltaError } from "../errors.js";
import { isStopped, type SegmentedJob, stopWorkers } from "./segments.js";

/** What a worker is started with: plain data and shared memory. */
export interface WorkerJob<Job extends SegmentedJob = SegmentedJob> {
  /** URL of the module whose `runJob` does this thread's share of the job. */
  readonly module: string;
  readonly job: Job;
}

/** What a module of jobs exports. The result goes back to the thread that started the pool. */
export interface JobModule<Job extends SegmentedJob = SegmentedJob> {
  runJob(job: Job): unknown;
}

/** What a worker posts when it ends. */
export type WorkerReport =
  | { readonly kind: "done"; readonly result: unknown }
  | { readonly kind: "failed"; readonly error: ErrorData }
  | { readonly kind: "crashed"; readonly error: unknown };

async function work({ module, job }: WorkerJob): Promise<WorkerReport> {
  try {
    const { runJob } = (await import(module)) as JobModule;
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

parentPort?.postMessage(await work(workerData as WorkerJob));
