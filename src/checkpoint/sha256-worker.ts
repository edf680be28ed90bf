/** A thread that hashes one file. In: a `Sha256Job` as worker data. Out: one `Sha256Report`. */
import { parentPort, workerData } from "node:worker_threads";
import { ApplyDeltaError } from "../errors.js";
import { hashFile } from "./hash-file.js";
import type { Sha256Job, Sha256Report } from "./sha256.js";

function report(job: Sha256Job): Sha256Report {
  try {
    return { sha256: hashFile(job) };
  } catch (error) {
    if (!(error instanceof ApplyDeltaError)) throw error;
    const { cause: _, ...details } = error.details;
    return { code: error.code, message: error.message, details };
  }
}

parentPort?.postMessage(report(workerData as Sha256Job));
