import { bytesFetchedOf, type Checkpoint } from "../formats/open.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { Reporter } from "../progress.js";
import type { LostElements } from "../target/journal.js";
import type { Staging } from "../target/staging.js";
import type { StagedTarget } from "../target/with-staging.js";
import { executePlan } from "./execute-plan.js";
import { fingerprintOf } from "./fingerprint.js";
import type { MergePlan, PlannedShard } from "./merge-plan.js";

/** A folder of weights that is planned: everything it is made of. */
export interface WeightsOutput {
  /** The real path of the folder. */
  readonly target: string;
  readonly plan: MergePlan;
  /** The checkpoints the plan's tensors lie in, by their role. */
  readonly sources: Readonly<Record<string, Checkpoint>>;
  readonly kernel: CompiledKernel;
  readonly threads: number;
}

/** What `withStaging` needs to know. */
export function stagedTarget({ target, plan, sources }: WeightsOutput): StagedTarget {
  const { shards, bytesToWrite } = plan;
  return { target, fingerprint: fingerprintOf(sources, plan), shards, bytesToWrite };
}

/**
 * Computes and writes the shards that aren't there yet. Gives what was lost, in the plan's order; also in shards that
 * an interrupted run had finished. Errors: `source-changed`; those of `executePlan`.
 */
export async function writeShards(
  { plan, kernel, threads, sources }: WeightsOutput,
  staging: Staging,
  reporter: Reporter,
  signal: AbortSignal | undefined,
): Promise<LostElements[]> {
  const models = Object.values(sources);
  const outputs = plan.shards.map(({ fileName, byteLength, pieces }) =>
    staging.kept.has(fileName) ? null : staging.createFile(fileName, byteLength, pieces),
  );
  const lossOf = new Map(staging.keptLosses.map((loss) => [loss.tensor, loss]));
  await executePlan({
    plan,
    outputs,
    kernel,
    threads,
    signal,
    onProgress: ({ bytesWritten, shard }) =>
      reporter.progress({
        activity: plan.operation === "add" ? "merging" : "subtracting",
        bytesDone: bytesWritten,
        bytesTotal: plan.bytesToWrite,
        bytesFetched: bytesFetchedOf(models),
        current: plan.shards[shard]?.fileName ?? "",
      }),
    async finishShard(shard, losses) {
      for (const file of models.flatMap(({ files }) => files)) file.assertUnchanged();
      for (const loss of losses) lossOf.set(loss.tensor, loss);
      await staging.finishFile((plan.shards[shard] as PlannedShard).fileName, losses);
    },
  });
  return plan.tensors.flatMap(({ name }) => lossOf.get(name) ?? []);
}
