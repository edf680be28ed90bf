/**
 * What preparing has in common, whether a delta is applied or made.
 * In: model references, options, open checkpoints, a plan. Out: open checkpoints, defaults, the folder to make, the
 * facts and files that follow from a plan.
 */

import { availableParallelism } from "node:os";
import { bytesFetchedOf, type Checkpoint, openCheckpoint } from "../formats/open.js";
import { indexFileName, type TargetFormat } from "../formats/table.js";
import type { HubOptions } from "../hub/hub-settings.js";
import { type ModelRequest, type ResolvedModel, readRequest, resolveModels } from "../hub/resolve.js";
import { pauseFor } from "../interrupt.js";
import type { CompiledKernel, KernelChoice } from "../kernel/select.js";
import type { Asset, AssetFacts } from "../llama/assets.js";
import { embeddingOf } from "../llama/tensor-names.js";
import type { Reporter } from "../progress.js";
import { stagedBytes } from "../target/staging.js";
import { checkTarget, type Room } from "../target/target.js";
import { isLocalFile, TORCH_NAMES } from "../tensor.js";
import { type MergePlan, mainDType } from "./merge-plan.js";
import type { Sample, SampleResults } from "./run-sample.js";
import { takeSample } from "./sample.js";

/** How a folder is made, whatever is in it. */
export interface OutputOptions {
  /** How the weights are stored; default `safetensors`. */
  readonly format?: TargetFormat;
  /** Largest shard in bytes; default 5 GB, as transformers 4. */
  readonly maxShardBytes?: number;
  /** Worker threads, 1 to 256; default one for each core, at most 4, or 2 where weights are streamed. */
  readonly threads?: number;
  /** How to do the arithmetic; default `auto`. */
  readonly kernel?: KernelChoice;
  /** Replace a folder that exists, once the new one is whole; default false. */
  readonly overwrite?: boolean;
  /** Throw away what an interrupted run of the same work has finished; default false. */
  readonly restart?: boolean;
  /** Wait until everything is on the disk; default true. Without it an interrupted run starts over. */
  readonly sync?: boolean;
  /** Write `SHA256SUMS` beside the weights; default false. */
  readonly checksums?: boolean;
  /**
   * How the Hub is reached; what isn't given is as huggingface_hub has it, but for the environment, which isn't
   * read.
   */
  readonly hub?: HubOptions;
  readonly reporter?: Reporter;
  readonly signal?: AbortSignal;
}

/** transformers 4's default. */
export const DEFAULT_MAX_SHARD_BYTES = 5_000_000_000;

/** More threads than this only wait for the disk. */
const MOST_DEFAULT_THREADS = 4;

/** Where weights come over the network: that is the slower part, and more threads take more memory for nothing. */
const MOST_STREAMING_THREADS = 2;

/** Worker threads where the user names no number. `models`: what is read, where it may have to be fetched. */
export function defaultThreads(
  models: readonly Pick<Checkpoint, "files">[],
  cores = availableParallelism(),
): number {
  const isStreamed = models.some(({ files }) => !files.every(isLocalFile));
  return Math.min(isStreamed ? MOST_STREAMING_THREADS : MOST_DEFAULT_THREADS, cores);
}

/** Two models, ready to be opened. A folder that can't be made is found before anything is downloaded for it. */
export async function resolvePair(
  requests: readonly [ModelRequest, ModelRequest],
  target: string,
  { overwrite = false, hub, reporter, signal }: OutputOptions,
): Promise<[ResolvedModel, ResolvedModel]> {
  const local = requests.map(readRequest).flatMap((request) => ("path" in request ? [request.path] : []));
  checkTarget(target, { overwrite, sources: local });
  const [base, other] = await resolveModels(requests, { hub, reporter, signal, target });
  if (base === undefined || other === undefined) throw new Error("a model was not resolved");
  return [base, other];
}

/** Opens the models, runs `body`, closes them and their connections whatever happens. */
export async function withCheckpoints<const Models extends readonly ResolvedModel[], T>(
  models: Models,
  signal: AbortSignal | undefined,
  body: (...checkpoints: { readonly [Index in keyof Models]: Checkpoint }) => Promise<T>,
): Promise<T> {
  const opened: Checkpoint[] = [];
  try {
    for (const { path, weights } of models)
      opened.push(await openCheckpoint(path, pauseFor(signal), weights));
    return await body(...(opened as { [Index in keyof Models]: Checkpoint }));
  } finally {
    for (const checkpoint of opened) checkpoint.close();
    for (const { weights } of models) await weights?.close();
  }
}

export interface SampleModelsOptions {
  readonly kernel: CompiledKernel;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
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

/** The real path of the folder to make, which overlaps nothing that is read. Errors: those of `checkTarget`. */
export function checkFolder(
  folder: string,
  checkpoints: readonly Checkpoint[],
  { overwrite }: OutputOptions,
): string {
  const sources = checkpoints.flatMap(({ path, files }) => [
    path,
    ...files.filter(isLocalFile).map((file) => file.path),
  ]);
  return checkTarget(folder, { overwrite: overwrite ?? false, sources });
}

/** What config and tokenizer must say of the plan's tensors. `source` is the side they come from. */
export function assetFacts(plan: MergePlan, source: Checkpoint): AssetFacts {
  const rows = embeddingOf(plan.tensors)?.shape[0] ?? null;
  const rowsOfSource = embeddingOf(source.tensors)?.shape[0] ?? rows ?? 0;
  return {
    rows,
    trimmedRows: rowsOfSource - (rows ?? rowsOfSource),
    torchDType: TORCH_NAMES[mainDType(plan)],
  };
}

/** Beside the shards and the assets: card, index, the folder, what the staging writes. */
const FURTHER_FILES = 8;

/** What the disk must have room for. */
export function roomFor(target: string, { bytesToWrite, shards }: MergePlan, assetCount: number): Room {
  return {
    bytes: bytesToWrite - stagedBytes(target),
    files: shards.length + assetCount + FURTHER_FILES,
    largestFileBytes: Math.max(...shards.map(({ byteLength }) => byteLength)),
  };
}

/** Last of all files: transformers takes a folder with an index for a whole model. */
export function indexFile({ index, format }: MergePlan): Asset[] {
  return index === null ? [] : [{ fileName: indexFileName(format), text: index }];
}
