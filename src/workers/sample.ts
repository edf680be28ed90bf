/** Work of one thread that reads parts of files, before or beside the main work: a sample of the weights, a mean. */
import { type Pause, pauseFor, throwIfAborted } from "../interrupt.js";
import type { ReadableFile } from "../tensor.js";
import { runWorkers } from "./pool.js";
import { readsOf, type ViewRange } from "./reads.js";
import { segmentedJob } from "./segments.js";

/** `job` is plain data, for any thread. */
export interface Sample<Job extends object, Result> {
  /** URL of the module that exports this very `runJob`. */
  readonly module: string;
  runJob(job: Job, pause?: Pause): Result | Promise<Result>;
  /** What `runJob` reads, in its order. */
  rangesOf(job: Job): Iterable<ViewRange>;
}

export interface SampleOptions {
  /** Those that `runJob` reads. */
  readonly files: readonly ReadableFile[];
  readonly signal?: AbortSignal | undefined;
  /** Called several times a second while it is read from the Hub, with the bytes that the sample takes from there. */
  onTick?(bytesTotal: number): void;
}

/**
 * Runs in this thread where all files are on this machine: starting another takes about as long as reading a sample from
 * the disk. Remote files are fetched by this thread, so another one waits for them. Throws what reading throws, or
 * `interrupted`.
 */
export async function takeSample<Job extends object, Result>(
  sample: Sample<Job, Result>,
  job: Job,
  { files, signal, onTick }: SampleOptions,
): Promise<Result> {
  throwIfAborted(signal);
  const isLocal = files.every(({ fd }) => typeof fd === "number");
  const reads = isLocal ? null : readsOf(files, sample.rangesOf(job));
  if (reads === null) return sample.runJob(job, pauseFor(signal));
  const ranges = [...reads.ranges];
  const bytesTotal = ranges.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const work = { module: sample.module, job: { ...segmentedJob([], 0), segmentCount: 1, ...job } };
  const options = { threads: 1, signal, reads: { ...reads, ranges }, onTick: () => onTick?.(bytesTotal) };
  const [result] = await runWorkers(work, options);
  return result as Result;
}
