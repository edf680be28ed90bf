/** SHA-256 of a file while it is written: a thread follows the writer from the first byte on, so nothing is left to do. */
import { createHash } from "node:crypto";
import { readFully } from "../files/local-file.js";
import { runWorkers } from "./pool.js";
import { isStopped, type Run, type SegmentedJob, segmentedJob } from "./segments.js";

interface GrowingJob extends SegmentedJob<Run> {
  readonly fd: number;
  readonly path: string;
  readonly byteLength: number;
}

/** The job's one counter: so many bytes are there, from the first on. */
const BYTES_THERE = 0;

const CHUNK_BYTES = 1024 * 1024;

/** How soon a stop is seen while nothing arrives. */
const LOOK_MS = 100;

export interface GrowingSha256 {
  /** So many bytes are there, from the first on. Never less than before. */
  advance(byteLength: number): void;
  /** Once all of it is there. Errors: those of reading; `interrupted`. */
  digest(): Promise<string>;
}

/** `fd` stays open until `signal` is aborted or the digest is there. */
export function followSha256(
  file: { readonly fd: number; readonly path: string; readonly byteLength: number },
  signal: AbortSignal,
): GrowingSha256 {
  const job: GrowingJob = { ...segmentedJob([], 1), segmentCount: 1, ...file };
  const { counts } = job.shared;
  const work = { module: import.meta.url, job };
  const running = runWorkers(work, { threads: 1, signal, reads: null, onTick: () => {} });
  // A failure waits until it is asked for.
  running.catch(() => {});
  let told = 0;
  return {
    advance(byteLength) {
      // Whole chunks, so that no packet costs a call into the system.
      if (byteLength < file.byteLength && byteLength - told < CHUNK_BYTES) return;
      told = byteLength;
      Atomics.store(counts, BYTES_THERE, BigInt(byteLength));
      Atomics.notify(counts, BYTES_THERE);
    },
    async digest() {
      const [digest] = await running;
      return digest as string;
    },
  };
}

/** Null where the job is stopped. */
export function runJob({ fd, path, byteLength, shared }: GrowingJob): string | null {
  const sum = createHash("sha256");
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let at = 0; at < byteLength; ) {
    if (isStopped(shared)) return null;
    const there = Number(Atomics.load(shared.counts, BYTES_THERE));
    const next = Math.min(byteLength, at + CHUNK_BYTES);
    if (there < next) {
      Atomics.wait(shared.counts, BYTES_THERE, BigInt(there), LOOK_MS);
      continue;
    }
    const part = chunk.subarray(0, next - at);
    readFully(fd, part, at, path);
    sum.update(part);
    at = next;
  }
  return sum.digest("hex");
}
