/**
 * Verifying on one screen: open, read the record, plan the sum again, check.
 * In: typed options. Out: a document that says of each check how it ended. Nothing is written.
 * A target that is wrong is a result; only sources that can't be read or don't fit are errors.
 */

import { statSync } from "node:fs";
import { ApplyDeltaError } from "../errors.js";
import { type Checkpoint, openCheckpoint } from "../formats/open.js";
import type { HubOptions } from "../hub/hub-settings.js";
import { type ModelRequest, resolveModels } from "../hub/resolve.js";
import { describeInterruption, pauseFor } from "../interrupt.js";
import { compileKernel, type KernelChoice } from "../kernel/select.js";
import { readModelConfig } from "../llama/model-config.js";
import type { MatchRules } from "../merge/match.js";
import { DEFAULT_RULES, matchCheckpoints } from "../merge/match-checkpoints.js";
import { layOut, type MergePlan } from "../merge/merge-plan.js";
import { DEFAULT_MAX_SHARD_BYTES, defaultThreads } from "../merge/preparation.js";
import type { Reporter } from "../progress.js";
import { PROVENANCE, type Provenance, recordWeights } from "../target/provenance.js";
import type { SumDType } from "../tensor.js";
import type { Verification } from "./documents.js";
import { verificationOf } from "./verification.js";
import { trustedProvenance, verifyFolder } from "./verify-folder.js";

export interface VerifyOptions {
  /** A model's folder, or `owner/name` on the Hub. */
  readonly target: string;
  /** What it was made from, both or neither: every number is then computed again and compared. */
  readonly sources?: {
    /** The original model, as for `applyDelta`. */
    readonly base: string;
    /** The delta, likewise. */
    readonly delta: string;
  };
  /**
   * The dtype it was written in. What is left out of this and the next two is taken from the target's record, and
   * without one it is apply's default.
   */
  readonly dtype?: "auto" | SumDType;
  /** What the delta was multiplied by. */
  readonly scale?: number;
  /** What became of tensors and rows that only one side has. */
  readonly rules?: Partial<MatchRules>;
  /**
   * How the Hub is reached; what isn't given is as huggingface_hub has it, but for the environment, which isn't
   * read.
   */
  readonly hub?: HubOptions;
  /** Worker threads, 1 to 256; default one for each core, 4 at most. */
  readonly threads?: number;
  /** How to do the arithmetic; default `auto`. */
  readonly kernel?: KernelChoice;
  readonly reporter?: Reporter;
  readonly signal?: AbortSignal;
}

/**
 * Errors: `source-not-found`, `source-unreadable`, `bad-usage`, `interrupted`; with sources, those of opening and
 * matching them.
 */
export async function verifyTarget(options: VerifyOptions): Promise<Verification> {
  return describeInterruption("the target was not verified to the end", () => verify(options));
}

async function verify(options: VerifyOptions): Promise<Verification> {
  const { folder, sourcePaths } = await resolveAll(options);
  if (!statSync(folder).isDirectory()) {
    throw new ApplyDeltaError("bad-usage", "This is a file; a model's folder is verified whole.", {
      file: folder,
      hint: "Give the folder it lies in.",
    });
  }
  return withSources(sourcePaths, options.signal, async (sources) => {
    const provenance = trustedProvenance(folder);
    const notes = sources === null ? [] : await compareSources(sources, provenance);
    const found = await verifyFolder(folder, {
      plan: sources === null ? null : planSum(sources, provenance, options),
      kernel: await compileKernel(options.kernel ?? "auto"),
      threads: options.threads ?? defaultThreads([]),
      reporter: options.reporter,
      signal: options.signal,
    });
    return verificationOf(options.target, found.checks, [...found.notes, ...notes]);
  });
}

interface Sources {
  readonly base: Checkpoint;
  readonly delta: Checkpoint;
}

interface SourcePaths {
  readonly base: string;
  readonly delta: string;
}

/** Everything that is read, on this machine. */
async function resolveAll({ target, sources, ...options }: VerifyOptions): Promise<{
  folder: string;
  sourcePaths: SourcePaths | null;
}> {
  const requests: ModelRequest[] = [{ role: "model", reference: target }];
  if (sources !== undefined) {
    requests.push({ role: "base", reference: sources.base }, { role: "delta", reference: sources.delta });
  }
  const [model, base, delta] = await resolveModels(requests, options);
  if (model === undefined) throw new Error("the model was not resolved");
  const hasSources = base !== undefined && delta !== undefined;
  return { folder: model.path, sourcePaths: hasSources ? { base: base.path, delta: delta.path } : null };
}

/** Opens both sides where they are given, runs `body`, closes them whatever happens. */
async function withSources<T>(
  paths: SourcePaths | null,
  signal: AbortSignal | undefined,
  body: (sources: Sources | null) => Promise<T>,
): Promise<T> {
  if (paths === null) return body(null);
  const base = await openCheckpoint(paths.base, pauseFor(signal));
  try {
    const delta = await openCheckpoint(paths.delta, pauseFor(signal));
    try {
      return await body({ base, delta });
    } finally {
      delta.close();
    }
  } finally {
    base.close();
  }
}

/** The plan of the merge, as the options, the record or the defaults have it. Shards don't matter to it. */
function planSum({ base, delta }: Sources, record: Provenance | null, options: VerifyOptions): MergePlan {
  const configs = { base: readModelConfig(base.folder), delta: readModelConfig(delta.folder) };
  const rules = { ...DEFAULT_RULES, ...record?.rules, ...options.rules };
  return layOut(matchCheckpoints(base, delta, configs, rules), {
    dtype: options.dtype ?? record?.dtype ?? "auto",
    scale: options.scale ?? record?.scale ?? 1,
    // The format whose layout no tensor's name can fail.
    format: "bin",
    maxShardBytes: DEFAULT_MAX_SHARD_BYTES,
  });
}

/** What differs from the files on record: no fault, since another conversion may hold the same numbers. */
async function compareSources(sources: Sources, record: Provenance | null): Promise<string[]> {
  if (record === null)
    return [`${PROVENANCE} is not there or not as it was written: the sum follows the options`];
  const notes: string[] = [];
  for (const role of ["base", "delta"] as const) {
    const given = JSON.stringify(await recordWeights(sources[role]));
    if (given === JSON.stringify(record[role].files)) continue;
    notes.push(
      `the ${role} isn't, file for file, the one on record (${record[role].reference}): only its numbers are compared`,
    );
  }
  return notes;
}
