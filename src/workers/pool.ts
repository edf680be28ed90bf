/**
 * The one place that starts threads. A worker that fails or dies stops the others and is an error, never a hang; an
 * abort takes effect within one segment, and at once where a worker waits for the network.
 */
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { type ResourceLimits, Worker } from "node:worker_threads";
import { errorFrom } from "../errors.js";
import { type ReadAhead, readAhead } from "../files/exchange.js";
import { throwIfAborted } from "../interrupt.js";
import { isLocalFile, type OpenFile } from "../tensor.js";
import { isStopped, stopWorkers } from "./segments.js";
import { doShare, type WorkerJob, type WorkerReport } from "./share.js";

/** How often `onTick` is called. */
const TICK_MS = 100;

/**
 * Workers hold the job and a few objects; V8 collects an old generation's garbage only when it has half of what is
 * allowed, so small heaps keep it from growing into the memory bound.
 */
const HEAP_MB = 16;
const MOST_BYTES_OF_RUN = 16 * 1024;
const YOUNG_HEAP_MB = 4;

/** V8 sets aside eight times as many addresses for code, which a limit (`ulimit -v`) may not allow for every thread. */
const CODE_MB = 16;

function heapLimits({ job: { runs } }: WorkerJob): ResourceLimits {
  const jobMb = Math.ceil((runs.length * MOST_BYTES_OF_RUN) / 1e6);
  return {
    maxOldGenerationSizeMb: HEAP_MB + jobMb,
    maxYoungGenerationSizeMb: YOUNG_HEAP_MB,
    codeRangeSizeMb: CODE_MB,
  };
}

/** More threads than this only wait for the disk. */
const MOST_DEFAULT_THREADS = 4;

/** Where weights come over the network: that is the slower part, and more threads take more memory for nothing. */
const MOST_STREAMING_THREADS = 2;

/** So few bytes are done with before threads have started: each takes 50 ms of processor time. */
const MOST_BYTES_HERE = 32 * 1024 * 1024;

/** Threads where the user names no number, to read these models; 0 where this thread does it sooner. */
export function defaultThreads(
  models: readonly { readonly files: readonly OpenFile[] }[],
  cores = availableParallelism(),
): number {
  const files = models.flatMap((model) => model.files);
  if (!files.every(isLocalFile)) return Math.min(MOST_STREAMING_THREADS, cores);
  const byteLength = files.reduce((sum, file) => sum + file.byteLength, 0);
  return files.length > 0 && byteLength <= MOST_BYTES_HERE ? 0 : Math.min(MOST_DEFAULT_THREADS, cores);
}

export interface PoolOptions {
  /** 0: this thread does the work. */
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  /** What the work reads of files that have to be fetched; null where there are none. */
  readonly reads: ReadAhead | null;
  /** Called several times a second while the work goes on, and once when it is done. What it throws ends the work. */
  onTick(): void;
}

/**
 * Runs the job in up to `threads` threads, and gives what each of them ended with. Throws the first error a worker met,
 * or `interrupted`.
 */
export async function runWorkers(work: WorkerJob, options: PoolOptions): Promise<unknown[]> {
  const { threads, signal, reads, onTick } = options;
  const { segmentCount, shared } = work.job;
  const feed = readAhead(reads);
  const stop = () => {
    stopWorkers(shared);
    feed?.cancel();
  };
  const failures: unknown[] = [];
  const tick = () => {
    // A thread that failed in one segment may wait for the network in another.
    if (isStopped(shared)) feed?.cancel();
    try {
      onTick();
    } catch (error) {
      clearInterval(timer);
      failures.push(error);
      stop();
    }
  };
  const timer = setInterval(tick, TICK_MS);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted === true) stop();
  const results: unknown[] = [];
  try {
    const count = Math.max(1, Math.min(threads, segmentCount));
    // What is fetched is fetched by this thread, so another one waits for it.
    const run = threads === 0 && reads === null ? runHere : runWorker;
    // A thread takes a copy of the whole job, so signals are looked at between two of them.
    const start = async (_: unknown, number: number) => {
      for (let turn = 0; turn < number; turn++) await setImmediate();
      return run(work, stop);
    };
    for (const outcome of await Promise.allSettled(Array.from({ length: count }, start))) {
      if (outcome.status === "rejected") throw outcome.reason;
      results.push(outcome.value);
    }
    if (failures.length > 0) throw failures[0];
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", stop);
    feed?.forget();
  }
  throwIfAborted(signal);
  if (isStopped(shared)) throw new Error("the work was stopped, and no thread says why");
  onTick();
  return results;
}

/** Of a copy, as a thread would get it. */
async function runHere(work: WorkerJob): Promise<unknown> {
  const report = await doShare(structuredClone(work));
  if (report.kind !== "done") throw errorOf(report);
  return report.result;
}

type Failure = Exclude<WorkerReport, { readonly kind: "done" }>;

function errorOf(report: Failure): unknown {
  return report.kind === "failed" ? errorFrom(report.error) : report.error;
}

/**
 * Workers compile in their own thread. A background job of V8's can outlive what it compiles for: a worker of Node 20 that
 * ends waits for the job, which may wait for the worker to collect garbage; and one that ends at once leaves a job that
 * ends the process (nodejs/node#54918). V8 reads the flag when a thread begins, so the main thread isn't changed.
 */
const COMPILE_IN_THE_THREAD = "--no-concurrent-recompilation";

/** Settles when the thread has ended. */
function runWorker(work: WorkerJob, stop: () => void): Promise<unknown> {
  setFlagsFromString(COMPILE_IN_THE_THREAD);
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData: work,
      resourceLimits: heapLimits(work),
    });
    let report: WorkerReport | undefined;
    const fail = (error: unknown) => {
      stop();
      reject(error);
    };
    worker.on("message", (message: WorkerReport) => {
      report = message;
    });
    worker.on("error", fail);
    worker.on("exit", (code) => {
      if (report?.kind === "done") resolve(report.result);
      else if (report !== undefined) fail(errorOf(report));
      else fail(new Error(`a worker thread ended early with code ${code}`));
    });
  });
}
