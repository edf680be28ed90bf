/** The entry of a worker thread: runs its share of a job and reports how it ended. */
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorCode, type ErrorDetails, isApplyDeltaError } from "../errors.js";
import { type MergeJob, mergeSegments } from "./merge-segments.js";
import { stopWorkers } from "./segments.js";
import { type VerifyJob, verifySegments } from "./verify-segments.js";

/** What a worker is started with: which work, and the job. */
export type WorkerJob =
  | { readonly kind: "merge"; readonly job: MergeJob }
  | { readonly kind: "verify"; readonly job: VerifyJob };

/** What a worker posts when it ends. */
export type WorkerReport =
  | { readonly kind: "done" }
  | {
      readonly kind: "failed";
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: ErrorDetails;
    }
  | { readonly kind: "crashed"; readonly error: unknown };

function work({ kind, job }: WorkerJob): WorkerReport {
  try {
    if (kind === "merge") mergeSegments(job);
    else verifySegments(job);
    return { kind: "done" };
  } catch (error) {
    stopWorkers(job.shared);
    return isApplyDeltaError(error)
      ? { kind: "failed", code: error.code, message: error.message, details: error.details }
      : { kind: "crashed", error };
  }
}

parentPort?.postMessage(work(workerData as WorkerJob));
