/**
 * The program on one screen: resolve, open, check, plan, execute, assets, commit.
 * In: typed options. Out: a target folder, whole, or an error and nothing. No console, no exit, no signals here.
 */

import { availableParallelism } from "node:os";
import { resourceUsage } from "node:process";
import type { Checkpoint } from "./checkpoint/open.js";
import { openCheckpoint } from "./checkpoint/open.js";
import { executePlan, throwIfAborted } from "./execute/pool.js";
import { type CompiledKernel, compileKernel, instantiateKernel, type KernelChoice } from "./kernel/select.js";
import { type Assets, planAssets } from "./output/assets.js";
import { INDEX_FILE_NAME } from "./output/shard-index.js";
import { createStaging } from "./output/staging.js";
import { checkFreeSpace, checkTarget } from "./output/target.js";
import { FIT_MEMORY_BYTES, sampleFit } from "./plan/base-check.js";
import { type Fit, fitError, judgeFit } from "./plan/judge-fit.js";
import { type MatchRules, matchTensors } from "./plan/match.js";
import { countActions, layOut, type MergePlan, mainDType } from "./plan/merge-plan.js";
import { type Reporter, silentReporter } from "./report/reporter.js";
import type { MergeSummary } from "./report/summary.js";
import { resolveModel } from "./source/resolve.js";
import { type SumDType, TORCH_NAMES } from "./tensor.js";

export interface ApplyDeltaOptions {
  /** The original model: a local folder or weights file. */
  readonly base: string;
  /** The delta: likewise. */
  readonly delta: string;
  /** The folder to make. */
  readonly target: string;
  /** The dtype to write; `auto` (default): each tensor as in the delta. */
  readonly dtype?: "auto" | SumDType;
  /** Largest shard in bytes; default 5 GB, as transformers 4. */
  readonly maxShardBytes?: number;
  /** Worker threads; default one for each core, 8 at most. */
  readonly threads?: number;
  readonly kernel?: KernelChoice;
  /** Replace a target that exists, once the new one is whole. */
  readonly overwrite?: boolean;
  /** Go on where the base check says that the base is another model, or the delta none. */
  readonly force?: boolean;
  readonly skipBaseCheck?: boolean;
  readonly rules?: Partial<MatchRules>;
  readonly reporter?: Reporter;
  readonly signal?: AbortSignal;
}

/** Everything that is known before the first byte is written. */
export interface PreparedMerge {
  readonly target: string;
  readonly plan: MergePlan;
  readonly assets: Assets;
  /** Null where the check was skipped. */
  readonly fit: Fit | null;
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly freeBytes: number;
  readonly warnings: readonly string[];
}

/** transformers 4's default. */
export const DEFAULT_MAX_SHARD_BYTES = 5_000_000_000;

/** More threads than this only wait for the disk. */
const MOST_DEFAULT_THREADS = 8;

const DEFAULT_RULES: MatchRules = { newRows: "zero", deltaOnly: "error", baseOnly: "error" };

/** Merges base and delta into a new folder. Rejects with an `ApplyDeltaError`; then there is no target. */
export async function applyDelta(options: ApplyDeltaOptions): Promise<MergeSummary> {
  const start = performance.now();
  return withPrepared(options, async (prepared) => {
    const { plan } = prepared;
    await writeTarget(prepared, options);
    return {
      target: prepared.target,
      tensors: countActions(plan),
      shards: plan.shards.map(({ fileName, byteLength }) => ({ file: fileName, bytes: byteLength })),
      bytesRead: plan.bytesToRead,
      bytesWritten: plan.bytesToWrite,
      seconds: (performance.now() - start) / 1000,
      peakMemoryBytes: resourceUsage().maxRSS * 1024,
      kernel: prepared.kernel.name,
      threads: prepared.threads,
      baseCheck: prepared.fit,
      warnings: prepared.warnings,
    };
  });
}

/** Everything up to the first byte written: what `--dry-run` shows. Touches nothing. */
export async function planMerge(options: ApplyDeltaOptions): Promise<PreparedMerge> {
  return withPrepared(options, async (prepared) => prepared);
}

/** Opens both sides, prepares, runs `body`, closes both sides whatever happens. */
async function withPrepared<T>(
  options: ApplyDeltaOptions,
  body: (prepared: PreparedMerge) => Promise<T>,
): Promise<T> {
  const basePath = resolveModel(options.base, "base");
  const deltaPath = resolveModel(options.delta, "delta");
  checkTarget(options.target, { overwrite: options.overwrite ?? false, sources: [basePath, deltaPath] });
  const base = await openCheckpoint(basePath);
  try {
    const delta = await openCheckpoint(deltaPath);
    try {
      return await body(await prepare(base, delta, options));
    } finally {
      delta.close();
    }
  } finally {
    base.close();
  }
}

async function prepare(
  base: Checkpoint,
  delta: Checkpoint,
  options: ApplyDeltaOptions,
): Promise<PreparedMerge> {
  const reporter = options.reporter ?? silentReporter;
  const warnings: string[] = [];
  const warn = (text: string) => {
    warnings.push(text);
    reporter.warn(text);
  };
  for (const { role, checkpoint } of [
    { role: "base", checkpoint: base },
    { role: "delta", checkpoint: delta },
  ]) {
    reporter.detail(describeCheckpoint(role, checkpoint));
    for (const note of checkpoint.notes) reporter.note(note);
  }
  const weightsFiles = [...base.files, ...delta.files].map(({ path }) => path);
  const target = checkTarget(options.target, {
    overwrite: options.overwrite ?? false,
    sources: [base.path, delta.path, ...weightsFiles],
  });
  const kernel = await compileKernel(options.kernel ?? "auto");
  const fit = options.skipBaseCheck === true ? null : checkFit(base, delta, kernel, options.force ?? false);
  if (fit !== null) (fit.isWarning ? warn : reporter.detail)(fit.sentence);

  const match = matchTensors(base.tensors, delta.tensors, { ...DEFAULT_RULES, ...options.rules });
  const plan = layOut(match, {
    dtype: options.dtype ?? "auto",
    maxShardBytes: options.maxShardBytes ?? DEFAULT_MAX_SHARD_BYTES,
  });
  const vocabSize = rowsOf(plan.tensors);
  const assets = planAssets(delta.folder, base.folder, {
    vocabSize,
    torchDType: TORCH_NAMES[mainDType(plan)],
    baseTokenizerFits: vocabSize === rowsOf(base.tensors),
  });
  for (const note of assets.notes) reporter.note(note);
  for (const warning of assets.warnings) warn(warning);
  const threads = options.threads ?? Math.min(MOST_DEFAULT_THREADS, availableParallelism());
  const freeBytes = checkFreeSpace(target, plan.bytesToWrite);
  throwIfAborted(options.signal);
  return { target, plan, assets, fit, kernel, threads, freeBytes, warnings };
}

/** Samples and judges; throws where the verdict forbids the merge and it isn't forced. */
function checkFit(base: Checkpoint, delta: Checkpoint, kernel: CompiledKernel, force: boolean): Fit {
  const fit = judgeFit(sampleFit(base.tensors, delta.tensors, instantiateKernel(kernel, FIT_MEMORY_BYTES)));
  const error = fitError(fit);
  if (error !== null && !force) throw error;
  return fit;
}

async function writeTarget(prepared: PreparedMerge, options: ApplyDeltaOptions): Promise<void> {
  const { plan, assets } = prepared;
  const reporter = options.reporter ?? silentReporter;
  const staging = createStaging(prepared.target);
  try {
    if (staging.replacedLeftover) reporter.note(`removed ${staging.folder}, left by a run that was killed.`);
    const outputs = plan.shards.map((shard) =>
      staging.createFile(shard.fileName, shard.byteLength, shard.header),
    );
    await executePlan({
      plan,
      outputs,
      kernel: prepared.kernel,
      threads: prepared.threads,
      signal: options.signal,
      onProgress: ({ bytesWritten, shard }) =>
        reporter.progress({
          bytesDone: bytesWritten,
          bytesTotal: plan.bytesToWrite,
          current: plan.shards[shard]?.fileName ?? "",
        }),
    });
    for (const asset of assets.files) {
      if ("text" in asset) staging.writeText(asset.fileName, asset.text);
      else staging.copyFile(asset.copyFrom, asset.fileName);
    }
    if (plan.index !== null) staging.writeText(INDEX_FILE_NAME, plan.index);
    throwIfAborted(options.signal);
    staging.commit();
  } catch (error) {
    staging.discard();
    throw error;
  } finally {
    reporter.progressDone();
  }
}

function describeCheckpoint(role: string, { path, formats, files, tensors }: Checkpoint): string {
  return `${role}: ${path} (${formats.join(" and ")}, ${files.length} files, ${tensors.length} tensors)`;
}

/** Rows of the embedding, or null where there is none. */
function rowsOf(tensors: readonly { name: string; shape: readonly number[] }[]): number | null {
  return tensors.find(({ name }) => name === "model.embed_tokens.weight")?.shape[0] ?? null;
}
