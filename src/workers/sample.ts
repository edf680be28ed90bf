/** Work of one thread that reads parts of files, before or beside the main work: a sample of the weights, a mean. */
import { type Pause, pauseFor, throwIfAborted } from "../interrupt.js";
import { runWorkers } from "./pool.js";
import { readsOf, type ViewRange } from "./reads.js";
import { segmentedJob } from "./segments.js";

/** What can be read and computed so. `job` is plain data, for any thread. */
export interface Sample<Job extends object, Result> {
  /** URL of the module that exports this very `runJob`. */
  readonly module: string;
  /** Pauses now and then, in a thread that has other things to do. */
  runJob(job: Job, pause?: Pause): Result | Promise<Result>;
  /** What `runJob` reads, in its order. */
  rangesOf(job: Job): Iterable<ViewRange>;
}

export interface SampleOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called several times a second while it is read from the Hub, with the bytes that the sample takes from there. */
  onTick?(bytesTotal: number): void;
}

/**
 * Runs in this thread where all files are on this machine: to start a thread takes about as long as to read a sample
 * from the disk. Remote files are fetched by this thread, so another one waits for them. Throws what reading throws, or
 * `interrupted`.
 */
export async function takeSample<Job extends object, Result>(
  sample: Sample<Job, Result>,
  job: Job,
  { signal, onTick }: SampleOptions,
): Promise<Result> {
  throwIfAborted(signal);
  const ranges = [...sample.rangesOf(job)];
  const files = ranges.map(({ view }) => view);
  const reads = readsOf(files, () => ranges);
  if (reads === null) return sample.runJob(job, pauseFor(signal));
  let bytesTotal = 0;
  for (const { byteLength } of readsOf(files, () => ranges)?.ranges ?? []) bytesTotal += byteLength;
  const work = { module: sample.module, job: { ...segmentedJob([], 0), segmentCount: 1, ...job } };
  const options = { threads: 1, signal, reads, onTick: () => onTick?.(bytesTotal) };
  const [result] = await runWorkers(work, options);
  return result as Result;
}
