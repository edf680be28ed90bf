import { plainView } from "../files/gather.js";
import type { CompiledKernel } from "../kernel/select.js";
import { bytesOf, elementCount, filesOf } from "../tensor.js";
import { takeSample } from "../workers/sample.js";
import { meanRowSample } from "./mean-row.js";
import type { MergePlan, PlannedTensor } from "./merge-plan.js";

/**
 * For each tensor that has rows which its base lacks, in shards that are to be made: the row that stands for them, zeros
 * or the mean of those the base has.
 */
export async function newRows(
  { shards }: MergePlan,
  isMade: (shard: number) => boolean,
  kernel: CompiledKernel,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<PlannedTensor, Uint8Array>> {
  const rows = new Map<PlannedTensor, Uint8Array>();
  const tensors = shards.flatMap(({ placed }, shard) => (isMade(shard) ? [] : placed));
  for (const { tensor } of tensors) {
    const { base, sumDType, shape } = tensor;
    if (base === null || sumDType === null || elementCount(shape) <= elementCount(base.shape)) continue;
    const job = { matrix: plainView(base), dtype: sumDType, kernel };
    const row =
      tensor.newRows === "mean"
        ? await takeSample(meanRowSample, job, { files: filesOf(base), signal })
        : new Uint8Array((shape[1] ?? 0) * bytesOf(sumDType));
    rows.set(tensor, row);
  }
  return rows;
}
