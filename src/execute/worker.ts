/** The entry of a worker thread: runs its share of the job and reports how it ended. */
import { parentPort, workerData } from "node:worker_threads";
import { isApplyDeltaError } from "../errors.js";
import { type Job, STOP, type WorkerReport } from "./job.js";
import { mergeSegments } from "./merge-segments.js";

const job = workerData as Job;
let report: WorkerReport = { kind: "done" };
try {
  mergeSegments(job);
} catch (error) {
  Atomics.store(job.shared.control, STOP, 1);
  report = isApplyDeltaError(error)
    ? { kind: "failed", code: error.code, message: error.message, details: error.details }
    : { kind: "crashed", error };
}
parentPort?.postMessage(report);
