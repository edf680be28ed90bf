/**
 * In: tensors, of which a part is to be read and judged. Out: the judgement.
 * Guards: the main thread reads weights only where they are on this machine; it is the one that fetches the others.
 */
import { bytesFetchedOf, type Checkpoint } from "../formats/open.js";
import { pauseFor, throwIfAborted } from "../interrupt.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { Reporter } from "../progress.js";
import { bytesOf, elementCount, type ReadableFile, type TensorView } from "../tensor.js";
import { runWorkers } from "../workers/pool.js";
import { readsOf } from "../workers/reads.js";
import { segmentedJob } from "../workers/segments.js";
import type { MergePlan, PlannedTensor } from "./merge-plan.js";
import { filesOfSample, rangesOfSample, runSample, type Sample, type SampleResults } from "./run-sample.js";

const JOB_MODULE = new URL("./run-sample.js", import.meta.url).href;

export interface SampleOptions {
  readonly kernel: CompiledKernel;
  readonly signal?: AbortSignal | undefined;
  /** Called several times a second while it is read from the Hub, with the bytes that the sample takes from there. */
  onTick?(bytesTotal: number): void;
}

/** Throws what reading throws, or `interrupted`. */
export async function takeSample<S extends Sample>(
  sample: S,
  { kernel, signal, onTick }: SampleOptions,
): Promise<SampleResults[S["of"]]> {
  throwIfAborted(signal);
  const readsOfSample = () => readsOf(filesOfSample(sample), () => rangesOfSample(sample));
  const reads = readsOfSample();
  // To start a thread takes about as long as to read a sample from the disk.
  if (reads === null)
    return (await runSample({ sample, kernel }, pauseFor(signal))) as SampleResults[S["of"]];
  const job = { ...segmentedJob([], 0), segmentCount: 1, sample: asPlainData(sample), kernel };
  let bytesTotal = 0;
  for (const { byteLength } of readsOfSample()?.ranges ?? []) bytesTotal += byteLength;
  const options = { threads: 1, signal, reads, onTick: () => onTick?.(bytesTotal) };
  const [result] = await runWorkers({ module: JOB_MODULE, job }, options);
  return result as SampleResults[S["of"]];
}

export interface SampleModelsOptions extends Omit<SampleOptions, "onTick"> {
  readonly reporter?: Reporter | undefined;
}

/** Samples the models; where they are read from the Hub, that is slow enough to be shown. */
export async function sampleModels<S extends Sample>(
  sample: S,
  models: readonly Checkpoint[],
  { kernel, reporter, signal }: SampleModelsOptions,
): Promise<SampleResults[S["of"]]> {
  const before = bytesFetchedOf(models);
  let isShown = false;
  const onTick = (bytesTotal: number) => {
    isShown = true;
    const bytesDone = Math.min(bytesTotal, bytesFetchedOf(models) - before);
    reporter?.progress({ activity: "sampling", bytesDone, bytesTotal, current: "samples" });
  };
  try {
    return await takeSample(sample, { kernel, signal, onTick });
  } finally {
    if (isShown) reporter?.progressDone();
  }
}

/**
 * For each tensor that has rows which its base lacks, in shards that are to be made: the row that stands for them, zeros
 * or the mean of those the base has.
 */
export async function newRows(
  { shards }: MergePlan,
  isMade: (shard: number) => boolean,
  options: SampleOptions,
): Promise<ReadonlyMap<PlannedTensor, Uint8Array>> {
  const rows = new Map<PlannedTensor, Uint8Array>();
  const tensors = shards.flatMap(({ placed }, shard) => (isMade(shard) ? [] : placed));
  for (const { tensor } of tensors) {
    const { base, sumDType, shape } = tensor;
    if (base === null || elementCount(shape) <= elementCount(base.shape)) continue;
    const row =
      tensor.newRows === "mean"
        ? await takeSample({ of: "mean row", matrix: base, dtype: sumDType }, options)
        : new Uint8Array((shape[1] ?? 0) * bytesOf(sumDType));
    rows.set(tensor, row);
  }
  return rows;
}

/** What a thread can be given: files without their functions. */
function asPlainData(sample: Sample): Sample {
  const plain = ({ file: { path, fd }, ...view }: TensorView<ReadableFile>) => ({
    ...view,
    file: { path, fd },
  });
  if (sample.of === "element") return sample;
  if (sample.of === "mean row") return { ...sample, matrix: plain(sample.matrix) };
  return { ...sample, base: sample.base.map(plain), other: sample.other.map(plain) };
}
