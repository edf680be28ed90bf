/**
 * In: both checkpoints, open, and the options. Out: everything that is known before the first byte is written: the
 * plan, the files beside the weights, the verdict on the base, the release.
 * Guards: whatever can be found wrong without writing is found wrong here.
 */
import { availableParallelism } from "node:os";
import { basename, resolve } from "node:path";
import { FORMAT_NAMES } from "./checkpoint/format.js";
import type { Checkpoint } from "./checkpoint/open.js";
import { sha256Files } from "./checkpoint/sha256.js";
import { ApplyDeltaError } from "./errors.js";
import { type CompiledKernel, compileKernel, instantiateKernel, type KernelChoice } from "./kernel/select.js";
import { type Asset, type Assets, planAssets } from "./output/assets.js";
import { CHECKSUMS } from "./output/checksums.js";
import { MODEL_CARD, modelCard } from "./output/model-card.js";
import { type MergeRecord, PROVENANCE } from "./output/provenance.js";
import { indexFileName, type TargetFormat } from "./output/shard-index.js";
import { stagedBytes } from "./output/staging.js";
import { checkRoom, checkTarget, type Room } from "./output/target.js";
import { FIT_MEMORY_BYTES, sampleFit } from "./plan/base-check.js";
import { configHints } from "./plan/config-hints.js";
import type { FingerprintedSide } from "./plan/fingerprint.js";
import { type Fit, fitAdvice, fitError, judgeFit } from "./plan/judge-fit.js";
import type { MatchRules } from "./plan/match.js";
import { DEFAULT_RULES, matchCheckpoints } from "./plan/match-checkpoints.js";
import { layOut, type MergePlan, mainDType } from "./plan/merge-plan.js";
import { recordMerge } from "./plan/merge-record.js";
import { type Reporter, silentReporter } from "./report/reporter.js";
import { plural } from "./report/units.js";
import type { HubOptions } from "./source/hub-settings.js";
import type { ResolvedModel } from "./source/resolve.js";
import { type SumDType, TORCH_NAMES } from "./tensor.js";
import { readModelConfig } from "./vicuna/model-config.js";
import type { PromptStyle } from "./vicuna/prompt-templates.js";
import {
  describeRelease,
  mergedReleaseHint,
  type RecognizedRelease,
  recognizeRelease,
} from "./vicuna/recognize.js";
import { verifyDelta } from "./vicuna/verify-delta.js";

export interface ApplyDeltaOptions {
  /** The original model: a local folder or weights file, or `owner/name` on the Hub. */
  readonly base: string;
  /** The delta: likewise. */
  readonly delta: string;
  /** Branch, tag or commit of a base on the Hub; default `main`. */
  readonly baseRevision?: string | undefined;
  readonly deltaRevision?: string | undefined;
  /** How the Hub is reached; what isn't given is as huggingface_hub has it, the environment apart. */
  readonly hub?: HubOptions;
  /** The folder to make. */
  readonly target: string;
  /** The dtype to write; `auto` (default): each tensor as in the delta. */
  readonly dtype?: "auto" | SumDType;
  /** How the weights are stored; default safetensors. */
  readonly format?: TargetFormat;
  /** Largest shard in bytes; default 5 GB, as transformers 4. */
  readonly maxShardBytes?: number;
  /** Worker threads; default one for each core, 4 at most. */
  readonly threads?: number;
  readonly kernel?: KernelChoice;
  /** Replace a target that exists, once the new one is whole. */
  readonly overwrite?: boolean;
  /** Go on where the base check says that the base is another model, or the delta none. */
  readonly force?: boolean;
  readonly skipBaseCheck?: boolean;
  /** Compare the delta's files with the published SHA-256 first. */
  readonly verifyDelta?: boolean;
  /** Write `SHA256SUMS` beside the model. */
  readonly checksums?: boolean;
  /** Read the target back from the disk and compare it, before it appears. */
  readonly verify?: boolean;
  readonly rules?: Partial<MatchRules>;
  /** target = base + scale * delta; default 1. */
  readonly scale?: number;
  /** Write a prompt template into the tokenizer's config; `auto`: that of the recognised release. */
  readonly chatTemplate?: "auto" | PromptStyle | null;
  /** Throw away what an interrupted run of the same merge has finished. */
  readonly restart?: boolean;
  /** Wait until everything is on the disk; default true. Without it an interrupted run starts over. */
  readonly sync?: boolean;
  readonly reporter?: Reporter;
  readonly signal?: AbortSignal;
}

/** Everything that is known before the first byte is written. */
export interface PreparedMerge {
  /** The real path of the target. */
  readonly target: string;
  readonly plan: MergePlan;
  /** What is read, by role. */
  readonly sources: Readonly<Record<"base" | "delta", FingerprintedSide>>;
  /** The files beside the weights. */
  readonly files: readonly Asset[];
  /** What the provenance says of the merge. */
  readonly record: MergeRecord;
  /** Names of the files that record what was made, written after the others. */
  readonly records: readonly string[];
  /** Null where the check was skipped. */
  readonly fit: Fit | null;
  /** Null where the delta isn't one of the known releases. */
  readonly release: RecognizedRelease | null;
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly freeBytes: number;
  readonly warnings: readonly string[];
}

/** transformers 4's default. */
export const DEFAULT_MAX_SHARD_BYTES = 5_000_000_000;

/** More threads than this only wait for the disk. */
const MOST_DEFAULT_THREADS = 4;

/** Worker threads where the user names no number. */
export function defaultThreads(): number {
  return Math.min(MOST_DEFAULT_THREADS, availableParallelism());
}

/** Checks everything and plans the merge. Touches nothing. */
export async function prepareMerge(
  base: Checkpoint,
  delta: Checkpoint,
  options: ApplyDeltaOptions,
  sources: Record<"base" | "delta", ResolvedModel>,
): Promise<PreparedMerge> {
  const voice = createVoice(options.reporter ?? silentReporter);
  voice.describe("base", base);
  voice.describe("delta", delta);
  const target = checkTarget(options.target, {
    overwrite: options.overwrite ?? false,
    sources: [base.path, delta.path, ...[...base.files, ...delta.files].map(({ path }) => path)],
  });
  const configs = { base: readModelConfig(base.folder), delta: readModelConfig(delta.folder) };
  const release = await recognize(delta, configs.delta, options, voice);
  const kernel = await compileKernel(options.kernel ?? "auto");

  const hints = configHints(configs.base, configs.delta);
  const fit = options.skipBaseCheck === true ? null : measureFit(base, delta, kernel);
  const misfit = fit === null || options.force === true ? null : fitError(fit, [...hints, ...release.hints]);
  // Swapped sides explain names and shapes that differ; any other misfit is explained by them.
  if (misfit?.code === "swapped") throw misfit;
  const rules = { ...DEFAULT_RULES, ...options.rules };
  const match = matchCheckpoints(base, delta, configs, rules);
  if (misfit !== null) throw misfit;
  if (release.recognized !== null) voice.note(`${describeRelease(release.recognized)}.`);
  if (fit !== null) (fit.isWarning ? voice.warn : voice.detail)(describeFit(fit));
  for (const hint of hints) (fit?.verdict === "exact" ? voice.detail : voice.warn)(`${hint} (config.json).`);

  const dtype = options.dtype ?? "auto";
  const plan = layOut(match, {
    dtype,
    format: options.format ?? "safetensors",
    maxShardBytes: options.maxShardBytes ?? DEFAULT_MAX_SHARD_BYTES,
    scale: options.scale ?? 1,
  });
  const assets = planTargetAssets(base, delta, plan, release.recognized, options);
  assets.notes.forEach(voice.note);
  assets.warnings.forEach(voice.warn);
  const card = modelCard({
    target,
    base: sources.base,
    delta: sources.delta,
    scale: plan.scale,
    baseCheck: fit?.sentence ?? null,
    release: release.recognized === null ? null : describeRelease(release.recognized),
  });
  return {
    target,
    plan,
    sources: { base, delta },
    files: [...assets.files, { fileName: MODEL_CARD, text: card }, ...indexFile(plan)],
    record: await recordMerge({
      base: { origin: sources.base, checkpoint: base },
      delta: { origin: sources.delta, checkpoint: delta },
      rules,
      dtype,
      plan,
      fit,
    }),
    records: [PROVENANCE, ...(options.checksums === true ? [CHECKSUMS] : [])],
    fit,
    release: release.recognized,
    kernel,
    threads: options.threads ?? defaultThreads(),
    freeBytes: checkRoom(target, roomFor(target, plan, assets.files.length)),
    warnings: voice.warnings,
  };
}

/** Beside the shards and the assets: card, index, the folder, what the staging writes. */
const FURTHER_FILES = 8;

function roomFor(target: string, { bytesToWrite, shards }: MergePlan, assetCount: number): Room {
  return {
    bytes: bytesToWrite - stagedBytes(target),
    files: shards.length + assetCount + FURTHER_FILES,
    largestFileBytes: Math.max(...shards.map(({ byteLength }) => byteLength)),
  };
}

/** Speaks through the reporter and keeps the warnings for the result. */
interface Voice {
  readonly warnings: readonly string[];
  detail(this: void, text: string): void;
  note(this: void, text: string): void;
  warn(this: void, text: string): void;
  describe(role: "base" | "delta", checkpoint: Checkpoint): void;
}

function createVoice(reporter: Reporter): Voice {
  const warnings: string[] = [];
  return {
    warnings,
    detail: (text) => reporter.detail(text),
    note: (text) => reporter.note(text),
    warn: (text) => {
      warnings.push(text);
      reporter.warn(text);
    },
    describe(role, { path, formats, files, tensors, notes }) {
      const names = formats.map((format) => FORMAT_NAMES[format]).join(" and ");
      reporter.detail(
        `${role}: ${path} (${names}, ${plural(files.length, "file")}, ${plural(tensors.length, "tensor")})`,
      );
      for (const text of notes) reporter.note(text);
    },
  };
}

function measureFit(base: Checkpoint, delta: Checkpoint, kernel: CompiledKernel): Fit {
  return judgeFit(sampleFit(base.tensors, delta.tensors, instantiateKernel(kernel, FIT_MEMORY_BYTES)));
}

function describeFit(fit: Fit): string {
  const advice = fitAdvice(fit);
  return advice === null ? `${fit.sentence}.` : `${fit.sentence}. ${advice}`;
}

interface Recognized {
  readonly recognized: RecognizedRelease | null;
  /** What the name says where the delta turns out to be none. */
  readonly hints: readonly string[];
}

/** Which release the delta is; with `verifyDelta`, proven by checksum. Errors: `delta-altered`. */
async function recognize(
  delta: Checkpoint,
  config: ReturnType<typeof readModelConfig>,
  options: ApplyDeltaOptions,
  voice: Voice,
): Promise<Recognized> {
  const recognition = recognizeRelease({
    reference: options.delta,
    folder: resolve(delta.folder),
    config,
    embedShape: embeddingOf(delta.tensors)?.shape ?? null,
    shards: delta.files.map(({ path, byteLength }) => ({ file: basename(path), byteLength })),
    isDelta: true,
  });
  recognition.doubts.forEach(voice.warn);
  const hint = mergedReleaseHint(recognition);
  let { recognized } = recognition;
  if (options.verifyDelta === true) {
    const digests = await sha256Files(delta.files, { signal: options.signal });
    const verification = verifyDelta(digests, recognized);
    (verification.isWarning ? voice.warn : voice.note)(`${verification.sentence}.`);
    recognized = verification.recognized ?? recognized;
  }
  return { recognized, hints: hint === null ? [] : [hint] };
}

function planTargetAssets(
  base: Checkpoint,
  delta: Checkpoint,
  plan: MergePlan,
  release: RecognizedRelease | null,
  options: ApplyDeltaOptions,
): Assets {
  const embedding = embeddingOf(plan.tensors);
  const vocabSize = embedding?.shape[0] ?? null;
  const rowsOfDelta = embeddingOf(delta.tensors)?.shape[0] ?? vocabSize ?? 0;
  return planAssets(
    delta.folder,
    base.folder,
    {
      vocabSize,
      trimmedRows: rowsOfDelta - (vocabSize ?? rowsOfDelta),
      torchDType: TORCH_NAMES[mainDType(plan)],
    },
    { chatTemplate: chatTemplateStyle(options.chatTemplate ?? null, release) },
  );
}

/** Last of all files: transformers takes a folder with an index for a whole model. */
function indexFile({ index, format }: MergePlan): Asset[] {
  return index === null ? [] : [{ fileName: indexFileName(format), text: index }];
}

function chatTemplateStyle(
  asked: "auto" | PromptStyle | null,
  recognized: RecognizedRelease | null,
): PromptStyle | null {
  if (asked !== "auto") return asked;
  if (recognized !== null && recognized.sureness !== "possible") return recognized.release.prompt;
  throw new ApplyDeltaError("bad-usage", "Which prompt template the model needs can't be told.", {
    expected: "a delta whose release is known by its name or its checksums",
    hint: "Name it: --chat-template v1.1, or --chat-template v0 for the deltas with 32001 rows.",
  });
}

function embeddingOf<T extends { readonly name: string }>(tensors: readonly T[]): T | undefined {
  return tensors.find(({ name }) => name === "model.embed_tokens.weight");
}
