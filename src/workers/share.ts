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

/** Does a thread's share of the job, and says how it ended. */
export async function doShare({ module, job }: WorkerJob): Promise<WorkerReport> {
  try {
    const { runJob } = (await import(module)) as { runJob(job: SegmentedJob): unknown };
    return { kind: "done", result: await runJob(job) };
  } catch (error) {
    // A read that was cut short because the work was stopped isn't a failure of its own.
    if (isStopped(job.shared) && isApplyDeltaError(error, "interrupted"))
      return { kind: "done", result: undefined };
    stopWorkers(job.shared);
    if (!isApplyDeltaError(error)) return { kind: "crashed", error };
    const { code, message, details } = error;
    return { kind: "failed", error: { code, message, details } };
  }
}
