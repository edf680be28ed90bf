/**
 * A thread that hashes one file. In: a `Sha256Job` as worker data. Out: one `Sha256Report`.
 * Guards: the file is read to the length it had when it was opened, and ends there.
 */
import { createHash } from "node:crypto";
import { parentPort, workerData } from "node:worker_threads";
import { ApplyDeltaError } from "../errors.js";
import { readFully } from "./local-file.js";
import type { Sha256Job, Sha256Report } from "./sha256.js";

/** Large enough that reads cost little beside the hash, small enough for the cache. */
const CHUNK_BYTES = 1024 * 1024;

function hash({ fd, path, byteLength, bytesDone }: Sha256Job): string {
  const sum = createHash("sha256");
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, byteLength));
  for (let offset = 0; offset < byteLength; offset += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, byteLength - offset));
    readFully(fd, part, offset, path);
    sum.update(part);
    Atomics.add(bytesDone, 0, BigInt(part.length));
  }
  return sum.digest("hex");
}

function report(job: Sha256Job): Sha256Report {
  try {
    return { sha256: hash(job) };
  } catch (error) {
    if (!(error instanceof ApplyDeltaError)) throw error;
    const { cause: _, ...details } = error.details;
    return { code: error.code, message: error.message, details };
  }
}

parentPort?.postMessage(report(workerData as Sha256Job));
