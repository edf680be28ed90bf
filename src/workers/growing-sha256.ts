/** SHA-256 of files while they are written: a thread follows the writers from the first bytes on, so nothing is left to do. */
import { createHash, type Hash } from "node:crypto";
import { readFully } from "../files/local-file.js";
import { runWorkers } from "./pool.js";
import { isStopped, type Run, type SegmentedJob, segmentedJob } from "./segments.js";

/** A file that will grow to this length. */
export interface GrowingFile {
  readonly path: string;
  readonly byteLength: number;
}

interface GrowingJob extends SegmentedJob<Run> {
  readonly files: readonly GrowingFile[];
  readonly digests: Uint8Array<SharedArrayBuffer>;
}

const DIGEST_BYTES = 32;

/** The job's counters: one that changes with the others, then for each file its descriptor, its bytes, and its state. */
const BELL = 0;
const bytesAt = (number: number) => 1 + 3 * number;
const fdAt = (number: number) => bytesAt(number) + 1;
const stateAt = (number: number) => bytesAt(number) + 2;

/** Nobody reads the file; it is followed; its writer gives it up. */
const STATE = { idle: 0n, followed: 1n, dropped: 2n } as const;

const CHUNK_BYTES = 1024 * 1024;

/** The thread is woken for so many bytes: each time costs a call into the system on both sides. */
const NEWS_BYTES = 4 * CHUNK_BYTES;

/** How soon a stop is seen while nothing arrives. */
const LOOK_MS = 100;

export interface GrowingSha256 {
  /** So many bytes are there, from the first on. Never less than before. */
  advance(byteLength: number): void;
  /** Once all of it is there. Errors: those of reading; `interrupted`. */
  digest(): Promise<string>;
  /** When it resolves, no thread reads the file. */
  drop(): Promise<void>;
}

/**
 * Starts a thread that follows any of `files`, by their numbers, one at a time or several; a file that was digested or
 * dropped may be followed again.
 */
export function startGrowingSha256s(files: readonly GrowingFile[], signal: AbortSignal) {
  const digests = new Uint8Array(new SharedArrayBuffer(DIGEST_BYTES * files.length));
  const job: GrowingJob = { ...segmentedJob([], bytesAt(files.length)), segmentCount: 1, files, digests };
  const { counts } = job.shared;
  const end = new AbortController();
  const options = {
    threads: 1,
    signal: AbortSignal.any([signal, end.signal]),
    reads: null,
    onTick: () => {},
  };
  const failing = runWorkers(
    { module: new URL("./growing-sha256.js", import.meta.url).href, job },
    options,
  ).then(() => {
    throw new Error("the thread that digests files ended unasked");
  });
  // A failure waits until it is asked for.
  failing.catch(() => {});
  const ring = () => {
    Atomics.add(counts, BELL, 1n);
    Atomics.notify(counts, BELL);
  };
  return {
    follow(number: number, fd: number): GrowingSha256 {
      const { byteLength } = files[number] as GrowingFile;
      const state = stateAt(number);
      let told = 0;
      Atomics.store(counts, bytesAt(number), 0n);
      Atomics.store(counts, fdAt(number), BigInt(fd));
      Atomics.store(counts, state, STATE.followed);
      return {
        advance(bytesThere) {
          if (bytesThere < byteLength && bytesThere - told < NEWS_BYTES) return;
          told = bytesThere;
          Atomics.store(counts, bytesAt(number), BigInt(bytesThere));
          ring();
        },
        async digest() {
          await untilIdle(counts, state, failing);
          const at = DIGEST_BYTES * number;
          return Buffer.from(digests.subarray(at, at + DIGEST_BYTES)).toString("hex");
        },
        async drop() {
          Atomics.compareExchange(counts, state, STATE.followed, STATE.dropped);
          ring();
          // A thread that failed reads nothing.
          await untilIdle(counts, state, failing).catch(() => {});
        },
      };
    },
    /** Ends the thread. */
    async end(): Promise<void> {
      end.abort();
      await failing.catch(() => {});
    },
  };
}

/** Rejects with the thread's failure, if that comes first. */
async function untilIdle(counts: BigInt64Array, state: number, failing: Promise<never>) {
  for (;;) {
    const now = Atomics.load(counts, state);
    if (now === STATE.idle) return;
    const change = Atomics.waitAsync(counts, state, now);
    await Promise.race([change.value, failing]);
  }
}

export function runJob({ files, digests, shared }: GrowingJob): void {
  const { counts } = shared;
  const chunk = new Uint8Array(CHUNK_BYTES);
  const sums = new Map<number, { readonly sum: Hash; at: number }>();
  const end = (number: number) => {
    sums.delete(number);
    Atomics.store(counts, stateAt(number), STATE.idle);
    Atomics.notify(counts, stateAt(number));
  };
  /** Whether there was something to do. */
  const advance = ({ path, byteLength }: GrowingFile, number: number): boolean => {
    const state = Atomics.load(counts, stateAt(number));
    if (state === STATE.dropped) end(number);
    if (state !== STATE.followed) return false;
    const own = sums.get(number) ?? { sum: createHash("sha256"), at: 0 };
    sums.set(number, own);
    const next = Math.min(byteLength, own.at + CHUNK_BYTES);
    if (Number(Atomics.load(counts, bytesAt(number))) < next) return false;
    const part = chunk.subarray(0, next - own.at);
    readFully(Number(Atomics.load(counts, fdAt(number))), part, own.at, path);
    own.sum.update(part);
    own.at = next;
    if (next < byteLength) return true;
    digests.set(own.sum.digest(), DIGEST_BYTES * number);
    end(number);
    return true;
  };
  while (!isStopped(shared)) {
    const rung = Atomics.load(counts, BELL);
    const isBusy = files.map(advance).includes(true);
    if (!isBusy) Atomics.wait(counts, BELL, rung, LOOK_MS);
  }
}
