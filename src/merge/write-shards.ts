import { bytesFetchedOf, type Checkpoint } from "../formats/open.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { Reporter } from "../progress.js";
import type { Finding } from "../target/findings.js";
import type { StagedShards } from "../target/staged-shards.js";
import type { StagedTarget } from "../target/with-staging.js";
import { executePlan } from "./execute-plan.js";
import { fingerprintOf } from "./fingerprint.js";
import type { MergePlan, PlannedShard } from "./merge-plan.js";

/** A folder of weights that is planned: everything it is made of. */
export interface WeightsOutput {
  readonly target: string;
  readonly plan: MergePlan;
  /** The checkpoints the plan's tensors lie in, by their role. */
  readonly sources: Readonly<Record<string, Checkpoint>>;
  readonly kernel: CompiledKernel;
  readonly threads: number;
}

export function stagedTarget({ target, plan, sources }: WeightsOutput): StagedTarget {
  const { shards, bytesToWrite } = plan;
  return { target, fingerprint: fingerprintOf(sources, plan), shards, bytesToWrite };
}

/**
 * Computes and writes the shards that aren't there yet. Gives what was found, in the plan's order; also in shards that
 * an interrupted run had finished. Errors: `source-changed`; those of `executePlan`.
 */
export async function writeShards(
  { plan, kernel, threads, sources }: WeightsOutput,
  staging: StagedShards,
  reporter: Reporter,
  signal: AbortSignal | undefined,
): Promise<Finding[]> {
  const models = Object.values(sources);
  const outputs = plan.shards.map(({ fileName, byteLength, pieces }) =>
    staging.kept.has(fileName) ? null : staging.createFile(fileName, byteLength, pieces),
  );
  const findings = [...staging.keptFindings];
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
    async finishShard(shard, found) {
      for (const { files } of models) for (const file of files) file.assertUnchanged();
      findings.push(...found);
      await staging.finishFile((plan.shards[shard] as PlannedShard).fileName, found);
    },
  });
  const order = new Map(plan.tensors.map(({ name }, number) => [name, number]));
  return findings.sort((a, b) => (order.get(a.tensor) ?? 0) - (order.get(b.tensor) ?? 0));
}
