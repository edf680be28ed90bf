/** The entry of a worker thread: runs its share of a job and reports how it ended. */
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorCode, type ErrorDetails, isApplyDeltaError } from "../errors.js";
import type { CompareJob } from "./compare-segments.js";
import type { MergeJob } from "./merge-segments.js";
import { stopWorkers } from "./segments.js";
import type { VerifyJob } from "./verify-segments.js";

/** What a worker is started with: which work, and the job. */
export type WorkerJob =
  | { readonly kind: "merge"; readonly job: MergeJob }
  | { readonly kind: "verify"; readonly job: VerifyJob }
  | { readonly kind: "compare"; readonly job: CompareJob };

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

/** Each kind's code is loaded where it is needed: a worker starts the sooner. */
async function runJob({ kind, job }: WorkerJob): Promise<void> {
  if (kind === "merge") (await import("./merge-segments.js")).mergeSegments(job);
  else if (kind === "verify") (await import("./verify-segments.js")).verifySegments(job);
  else (await import("./compare-segments.js")).compareSegments(job);
}

async function work(assigned: WorkerJob): Promise<WorkerReport> {
  try {
    await runJob(assigned);
    return { kind: "done" };
  } catch (error) {
    stopWorkers(assigned.job.shared);
    return isApplyDeltaError(error)
      ? { kind: "failed", code: error.code, message: error.message, details: error.details }
      : { kind: "crashed", error };
  }
}

parentPort?.postMessage(await work(workerData as WorkerJob));
