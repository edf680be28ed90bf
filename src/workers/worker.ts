/** The entry of a worker thread: runs its share of a job and reports how it ended. */
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorCode, type ErrorDetails, isApplyDeltaError } from "../errors.js";
import { isStopped, type SegmentedJob, stopWorkers } from "./segments.js";

/** What a worker is started with. The module is a command's own, so the pool knows no command. */
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
  | {
      readonly kind: "failed";
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: ErrorDetails;
    }
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
    return isApplyDeltaError(error)
      ? { kind: "failed", code: error.code, message: error.message, details: error.details }
      : { kind: "crashed", error };
  }
}

parentPort?.postMessage(await work(workerData as WorkerJob));
