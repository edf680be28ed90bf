/**
 * The library, as a program or the command line uses it. Each call loads what it needs. No call changes the process:
 * it prints nothing, listens for no signal, reads and sets no environment variable, and when its promise settles, its
 * files, threads, timers and connections are closed.
 */

import type { MergePlanDocument, MergeSummary, PartSummary } from "./apply/documents.js";
import type {
  ApplyDeltaOptions as ApplyOptions,
  FinishPartsOptions as FinishOptions,
  ApplyPartOptions as PartOptions,
} from "./apply/options.js";
import type { Comparison } from "./compare/documents.js";
import type { CompareOptions as ModelsOptions } from "./compare/options.js";
import type { InspectDocument } from "./inspect/documents.js";
import type { InspectOptions as ModelOptions } from "./inspect/options.js";
import type { WeightsDocument } from "./llama/documents.js";
import type { DeltaPlanDocument, MakeSummary } from "./make/documents.js";
import type { MakeDeltaOptions as MakeOptions } from "./make/options.js";
import { type Callable, runProgram } from "./run-program.js";
import { loadModule } from "./system-errors.js";
import type { UploadSummary } from "./upload/documents.js";
import type {
  CheckUploadOptions as CheckedUpload,
  UploadOptions as RepositoryOptions,
} from "./upload/options.js";
import type { Verification } from "./verify/documents.js";
import type { VerifyOptions as TargetOptions } from "./verify/options.js";

export type { ApplyDocument, MergePlanDocument, MergeSummary, PartSummary } from "./apply/documents.js";
export type {
  BaseCheck,
  BaseStatistics,
  BaseVerdict,
  ChangeSize,
  KindChange,
  LayerChange,
  PartChange,
} from "./base-check/documents.js";
export type {
  Comparison,
  DifferingTensor,
  FileComparison,
  FileKey,
  Largest,
  TensorComparison,
  Tolerance,
} from "./compare/documents.js";
export { type ErrorCode, EXIT, EXIT_OF } from "./error-codes.js";
export type { ErrorDocument, ReportedError } from "./error-document.js";
export { ApplyDeltaError, type ErrorDetails, isApplyDeltaError } from "./errors.js";
export type { HubOptions, ProxySettings, TransferSettings } from "./hub/settings.js";
export type {
  InspectDocument,
  InspectedChange,
  InspectedConfig,
  InspectedTensor,
} from "./inspect/documents.js";
export type { KernelChoice } from "./kernel/kernel.js";
export type {
  Clue,
  ListedRelease,
  ModelConfig,
  ModelSize,
  PublishedShard,
  Recognition,
  RecognizedRelease,
  Release,
  ReleaseKind,
  RopeScaling,
  Sureness,
  TokenizerState,
  WeightsDocument,
} from "./llama/documents.js";
export type { PromptStyle } from "./llama/prompt-templates.js";
export type {
  DeltaPlanDocument,
  LostElements,
  MakeDocument,
  MakeSummary,
  Restoration,
} from "./make/documents.js";
export type { TunedRules } from "./make/options.js";
export type {
  Action,
  ActionCounts,
  LayoutDocument,
  NotAdded,
  OutputSummary,
  PlannedShardDocument,
  ShardSummary,
} from "./merge/documents.js";
export type { MatchRules } from "./merge/options.js";
export type { CallOptions } from "./options.js";
export type { Activity, FileProgress, ProgressUpdate, Reporter } from "./progress.js";
export type { DType, SumDType } from "./tensor.js";
export type { UploadSummary } from "./upload/documents.js";
export type { Check, CheckName, Verification } from "./verify/documents.js";

/** How weights are stored. */
export type TargetFormat = NonNullable<ApplyOptions["format"]>;

/** What is merged, where to, and how. */
export type ApplyDeltaOptions = Callable<ApplyOptions>;
/** Which part of a target is made, of what, and how. */
export type ApplyPartOptions = Callable<PartOptions>;
/** Which target is completed. */
export type FinishPartsOptions = Callable<FinishOptions>;
/** What a delta is made of, where to, and how. */
export type MakeDeltaOptions = Callable<MakeOptions>;
/** What is compared, and what counts as equal. */
export type CompareOptions = Callable<ModelsOptions>;
/** What is looked at. */
export type InspectOptions = Callable<ModelOptions>;
/** What is verified, and what is known of how it was made. */
export type VerifyOptions = Callable<TargetOptions>;

/** Where a folder is sent to, and how. */
export type UploadOptions = Callable<RepositoryOptions>;
/** Where a target is to be sent to, and what will be made. */
export type CheckUploadOptions = Callable<CheckedUpload>;
/** What is sent, where to, and how. */
export interface UploadModelOptions extends UploadOptions {
  /** The model's folder, or a GGUF. */
  readonly folder: string;
}

/**
 * Merges a base and a delta into a new folder: target = base + delta, bit for bit as PyTorch adds. The folder appears
 * whole or not at all; after an error there is none, and shards that are finished wait in `<target>.incomplete` for
 * the next call. Reads and writes in worker threads, in about 130 MB of memory whatever the model's size.
 *
 * Rejects with an `ApplyDeltaError`: any code but `not-restorable`.
 */
export async function applyDelta(options: ApplyDeltaOptions): Promise<MergeSummary> {
  const program = await loadModule(() => import("./apply/apply-delta.js"));
  return runProgram(options, program.applyOptions, program.applyDelta);
}

/**
 * Everything `applyDelta` checks and decides before it writes: each tensor's action, files, sizes, the verdict on the
 * base. Makes no target; of weights on the Hub it reads headers and a sample. Rejects as `applyDelta` would before it
 * writes.
 */
export async function planMerge(options: ApplyDeltaOptions): Promise<MergePlanDocument> {
  const program = await loadModule(() => import("./apply/apply-delta.js"));
  return runProgram(options, program.applyOptions, program.planMerge);
}

/**
 * Makes the shards of one part of a target, so that several machines can make it together; whoever makes the last one
 * completes the target, as `applyDelta` would. Each part is given the same options. Rejects with an `ApplyDeltaError`;
 * what other parts made stays as it is.
 */
export async function applyPart(options: ApplyPartOptions): Promise<PartSummary> {
  const program = await loadModule(() => import("./apply/apply-part.js"));
  return runProgram(options, program.partOptions, program.applyPart);
}

/**
 * Completes a target whose parts are all made, where no part has. Rejects with an `ApplyDeltaError`: `parts-missing`
 * while parts aren't made, and as `applyDelta` would.
 */
export async function finishParts(options: FinishPartsOptions): Promise<PartSummary> {
  const program = await loadModule(() => import("./apply/apply-part.js"));
  return runProgram(options, program.finishOptions, program.finishParts);
}

/**
 * Makes a delta of a tuned model: delta = tuned - base, in the tuned model's dtype, and proves element by element that
 * applying it gives the tuned model back, or counts what doesn't come back. The folder appears whole or not at all.
 *
 * Rejects with an `ApplyDeltaError`; with `exact`, also with the code `not-restorable`.
 */
export async function makeDelta(options: MakeDeltaOptions): Promise<MakeSummary> {
  const program = await loadModule(() => import("./make/make-delta.js"));
  return runProgram(options, program.makeOptions, program.makeDelta);
}

/**
 * Everything `makeDelta` checks and decides before it writes. Makes no delta; of weights on the Hub it reads headers and
 * a sample. Rejects as `makeDelta` would before it writes.
 */
export async function planDelta(options: MakeDeltaOptions): Promise<DeltaPlanDocument> {
  const program = await loadModule(() => import("./make/make-delta.js"));
  return runProgram(options, program.makeOptions, program.planDelta);
}

/**
 * Compares two models, whatever their formats, shards and dtypes: every tensor bit by bit or within a tolerance, config
 * and tokenizer key by key. A difference is a result, not an error.
 *
 * Rejects with an `ApplyDeltaError` if a model can't be found or read, if both are one model (`bad-usage`), or with
 * `interrupted`.
 */
export async function compareModels(options: CompareOptions): Promise<Comparison> {
  const program = await loadModule(() => import("./compare/compare-models.js"));
  return runProgram(options, program.compareOptions, program.compareModels);
}

/**
 * Tells what a checkpoint holds: tensors, dtypes, files, config, tokenizer, which release of Vicuna it is; with a
 * `base`, how much a delta (or a tuned model) changes each layer, from a sample of the weights.
 *
 * Rejects with an `ApplyDeltaError` where a model can't be found or read, or has nothing in common with the base
 * (`names-differ`), or with `interrupted`.
 */
export async function inspectModel(options: InspectOptions): Promise<InspectDocument> {
  const program = await loadModule(() => import("./inspect/inspect-model.js"));
  return runProgram(options, program.inspectOptions, program.inspectModel);
}

/**
 * Checks a model's folder or a GGUF: headers, sizes, index, config, tokenizer, records, numbers; with `sources`, that every bit
 * is what base and delta give. A wrong model is a result with the verdict `failed`, not an error.
 *
 * Rejects with an `ApplyDeltaError` where the folder can't be found or read, where the sources can't be or don't fit
 * each other, or with `interrupted`.
 */
export async function verifyTarget(options: VerifyOptions): Promise<Verification> {
  const program = await loadModule(() => import("./verify/verify-target.js"));
  return runProgram(options, program.verifyOptions, program.verifyTarget);
}

/**
 * Sends a model's folder, or a GGUF, to the Hub as one commit. It doesn't send what the Hub already has, so a call after one that
 * broke off goes on from there.
 *
 * Rejects with an `ApplyDeltaError`; then the repository holds what it held.
 */
export async function uploadModel(options: UploadModelOptions): Promise<UploadSummary> {
  const program = await loadModule(() => import("./upload/upload-model.js"));
  return runProgram(options, program.uploadOptions, ({ folder, ...repository }) =>
    program.uploadModel(folder, repository),
  );
}

/**
 * Checks whether a model may be sent before it is made: the repository's name, the token and its rights, and that no
 * other model is in the way of the `target`. Changes nothing. Rejects as `uploadModel` would before it looks at the folder.
 */
export async function checkUpload(options: CheckUploadOptions): Promise<void> {
  const program = await loadModule(() => import("./upload/upload-model.js"));
  return runProgram(options, program.checkUploadOptions, program.checkUpload);
}

/** The releases of Vicuna, newest version first: which are deltas, for which base, and what works with them. */
export async function listReleases(): Promise<WeightsDocument> {
  const { weightsDocument } = await loadModule(() => import("./llama/releases.js"));
  return weightsDocument();
}
