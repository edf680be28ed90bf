/** Which elements of base and delta are sampled: some of every matrix, all of every vector. */
import { openView } from "../files/gather.js";
import { noPause, type Pause } from "../interrupt.js";
import type { Kernel } from "../kernel/kernel.js";
import { instantiateKernel } from "../kernel/select.js";
import type { FloatDType } from "../tensor.js";
import type { Sample } from "../workers/sample.js";
import {
  inFileOrder,
  MAX_RUN_ELEMENTS,
  type PairJob,
  pairViews,
  rangesOfRuns,
  type SampledRun,
  sharedCount,
  spreadRuns,
  type View,
  type ViewPair,
  wholeRuns,
} from "./sampled-pairs.js";
import { SAMPLE_MEMORY_BYTES, type TensorSample, TensorTally } from "./tensor-sample.js";

/** Elements sampled of all matrices, shared out evenly: 8 MB of each side in float16. */
const SAMPLE_ELEMENTS = 4 * 1024 * 1024;

/** Places in each matrix where a run is sampled, so that no part of it goes unseen. */
const RUNS_PER_TENSOR = 4;

export const baseSample: Sample<PairJob, TensorSample[]> = {
  module: new URL("./sample-base.js", import.meta.url).href,
  runJob,
  rangesOf: ({ base, other }) => rangesOfRuns(baseRuns(pairViews(base, other))),
};

export function runJob({ base, other, kernel }: PairJob, pause = noPause): Promise<TensorSample[]> {
  return sampleBase(base, other, instantiateKernel(kernel, SAMPLE_MEMORY_BYTES), pause);
}

/** Samples every tensor that both sides have, with a pause before each run. Reads some tens of MB at most. */
export async function sampleBase(
  base: readonly View[],
  delta: readonly View[],
  kernel: Kernel,
  pause: Pause,
): Promise<TensorSample[]> {
  const tallies = new Map<ViewPair, TensorTally>();
  const pairs = pairViews(base, delta);
  for (const { pair, first, count } of baseRuns(pairs)) {
    await pause();
    const { name, dtype } = pair[1];
    const tally = tallies.get(pair) ?? new TensorTally(kernel, name, isMatrix(pair), dtype as FloatDType);
    tallies.set(pair, tally);
    tally.add(openView(pair[0]), openView(pair[1]), first, count);
  }
  return pairs.flatMap((pair) => tallies.get(pair)?.sample ?? []);
}

function* baseRuns(pairs: readonly ViewPair[]): Generator<SampledRun> {
  const perRun = Math.ceil(SAMPLE_ELEMENTS / Math.max(1, pairs.filter(isMatrix).length) / RUNS_PER_TENSOR);
  for (const pair of inFileOrder(pairs)) {
    const total = sharedCount(pair);
    const count = Math.min(MAX_RUN_ELEMENTS, perRun, Math.ceil(total / RUNS_PER_TENSOR));
    const runs = isMatrix(pair) ? spreadRuns(total, count, RUNS_PER_TENSOR) : wholeRuns(total);
    for (const run of runs) yield { pair, ...run };
  }
}

function isMatrix([, { shape }]: ViewPair): boolean {
  return shape.length > 1;
}
