/** The entry of a worker thread: runs its share of a job and reports how it ended. */
import { parentPort, workerData } from "node:worker_threads";
import { noPause } from "../checkpoint/pause.js";
import { type ErrorCode, type ErrorDetails, isApplyDeltaError } from "../errors.js";
import type { CompareJob } from "./compare-segments.js";
import type { MergeJob } from "./merge-segments.js";
import type { SampleJob } from "./run-sample.js";
import { isStopped, stopWorkers } from "./segments.js";
import type { VerifyJob } from "./verify-segments.js";

/** What a worker is started with: which work, and the job. */
export type WorkerJob =
  | { readonly kind: "merge"; readonly job: MergeJob }
  | { readonly kind: "verify"; readonly job: VerifyJob }
  | { readonly kind: "compare"; readonly job: CompareJob }
  | { readonly kind: "sample"; readonly job: SampleJob };

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

/** Each kind's code is loaded where it is needed: a worker starts the sooner. */
async function runJob({ kind, job }: WorkerJob): Promise<unknown> {
  if (kind === "merge") (await import("./merge-segments.js")).mergeSegments(job);
  else if (kind === "verify") (await import("./verify-segments.js")).verifySegments(job);
  else if (kind === "compare") (await import("./compare-segments.js")).compareSegments(job);
  else return (await import("./run-sample.js")).runSample(job, noPause);
  return undefined;
}

async function work(assigned: WorkerJob): Promise<WorkerReport> {
  try {
    return { kind: "done", result: await runJob(assigned) };
  } catch (error) {
    // A read that was cut short because the work was stopped is no failure of its own.
    if (isStopped(assigned.job.shared) && isApplyDeltaError(error, "interrupted"))
      return { kind: "done", result: undefined };
    stopWorkers(assigned.job.shared);
    return isApplyDeltaError(error)
      ? { kind: "failed", code: error.code, message: error.message, details: error.details }
      : { kind: "crashed", error };
  }
}

parentPort?.postMessage(await work(workerData as WorkerJob));
