import { bytesFetchedOf, type Checkpoint } from "../formats/open.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { WorkOptions } from "../options.js";
import { type Sample, takeSample } from "../workers/sample.js";
import { type PairJob, pairJob } from "./sampled-pairs.js";

/** Samples two models; where they are read from the Hub, that is slow enough to be shown. */
export async function sampleModels<Result>(
  sample: Sample<PairJob, Result>,
  base: Checkpoint,
  other: Checkpoint,
  { kernel, reporter, signal }: WorkOptions & { readonly kernel: CompiledKernel },
): Promise<Result> {
  const files = [...base.files, ...other.files];
  const before = bytesFetchedOf([base, other]);
  let isShown = false;
  const onTick = (bytesTotal: number) => {
    isShown = true;
    const bytesDone = Math.min(bytesTotal, bytesFetchedOf([base, other]) - before);
    reporter?.progress({ activity: "sampling", bytesDone, bytesTotal, current: "samples" });
  };
  try {
    return await takeSample(sample, pairJob(base.tensors, other.tensors, kernel), { files, signal, onTick });
  } finally {
    if (isShown) reporter?.progressDone();
  }
}
