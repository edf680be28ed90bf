/** A thread that hashes one file. In: a `Sha256Job` as worker data. Out: one `Sha256Report`. */
import { parentPort, workerData } from "node:worker_threads";
import { ApplyDeltaError } from "../errors.js";
import { hashFile, hashFileOnDisk, type Sha256Job } from "./hash-file.js";
import type { Sha256Report } from "./sha256.js";

async function report(job: Sha256Job): Promise<Sha256Report> {
  try {
    const { directFd } = job;
    return { sha256: directFd === null ? hashFile(job) : await hashFileOnDisk(job, directFd) };
  } catch (error) {
    if (!(error instanceof ApplyDeltaError)) throw error;
    const { cause: _, ...details } = error.details;
    return { code: error.code, message: error.message, details };
  }
}

const outcome = await report(workerData as Sha256Job);
parentPort?.postMessage(outcome);
