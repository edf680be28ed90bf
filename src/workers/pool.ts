/**
 * The one place that starts threads. A worker that fails or dies stops the others and is an error, never a hang; an
 * abort takes effect within one segment, and at once where a worker waits for the network.
 */
import { Worker } from "node:worker_threads";
import { errorFrom } from "../errors.js";
import { type ReadAhead, readAhead } from "../files/exchange.js";
import { throwIfAborted } from "../interrupt.js";
import { stopWorkers } from "./segments.js";
import type { WorkerJob, WorkerReport } from "./worker.js";

/** How often `onTick` is called. */
const TICK_MS = 100;

/** Workers hold a few objects; small heaps keep their garbage from growing into the memory bound. */
const WORKER_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 };

export interface PoolOptions {
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
  const ahead = readAhead(reads);
  const stop = () => {
    stopWorkers(shared);
    ahead.cancel();
  };
  const failures: unknown[] = [];
  const tick = () => {
    if (failures.length > 0) return;
    try {
      onTick();
    } catch (error) {
      failures.push(error);
      stop();
    }
  };
  const timer = setInterval(tick, TICK_MS);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted === true) stop();
  let outcomes: PromiseSettledResult<unknown>[];
  try {
    const count = Math.max(1, Math.min(threads, segmentCount));
    outcomes = await Promise.allSettled(Array.from({ length: count }, () => runWorker(work, stop)));
    const failure = outcomes.find((outcome) => outcome.status === "rejected");
    if (failure !== undefined) throw failure.reason;
    if (failures.length > 0) throw failures[0];
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", stop);
    ahead.end();
  }
  throwIfAborted(signal);
  onTick();
  return outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
}

/** Settles when the thread has ended. */
function runWorker(work: WorkerJob, stop: () => void): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.js", import.meta.url), {
      workerData: work,
      resourceLimits: WORKER_LIMITS,
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
      else if (report?.kind === "failed") fail(errorFrom(report.error));
      else if (report?.kind === "crashed") fail(report.error);
      else fail(new Error(`a worker thread ended early with code ${code}`));
    });
  });
}
