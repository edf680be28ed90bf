/**
 * In: both checkpoints, open, and the options. Out: everything that is known before the first byte is written: the
 * plan, the files beside the weights, the verdict on the base, the release.
 * Guards: whatever can be found wrong without writing is found wrong here.
 */

import { basename, resolve } from "node:path";
import { configHints } from "../base-check/config-hints.js";
import type { BaseCheck } from "../base-check/documents.js";
import { baseAdvice, baseError, judgeBase } from "../base-check/judge-base.js";
import { ApplyDeltaError } from "../errors.js";
import type { Checkpoint } from "../formats/open.js";
import type { ResolvedModel } from "../hub/resolve.js";
import { type CompiledKernel, compileKernel } from "../kernel/select.js";
import { type Asset, planAssets } from "../llama/assets.js";
import type { RecognizedRelease } from "../llama/documents.js";
import { readModelConfig } from "../llama/model-config.js";
import type { PromptStyle } from "../llama/prompt-templates.js";
import { describeRelease, mergedReleaseHint, recognizeRelease } from "../llama/recognize.js";
import { embeddingOf } from "../llama/tensor-names.js";
import { verifyDelta } from "../llama/verify-delta.js";
import type { FingerprintedSide } from "../merge/fingerprint.js";
import type { MatchRules } from "../merge/match.js";
import { DEFAULT_RULES, matchCheckpoints } from "../merge/match-checkpoints.js";
import { layOut, type MergePlan } from "../merge/merge-plan.js";
import {
  assetFacts,
  checkFolder,
  DEFAULT_MAX_SHARD_BYTES,
  defaultThreads,
  indexFile,
  type OutputOptions,
  roomFor,
  type SampleModelsOptions,
  sampleModels,
} from "../merge/preparation.js";
import { createVoice, type Voice } from "../merge/voice.js";
import { silentReporter } from "../progress.js";
import { MODEL_CARD, modelCard } from "../target/model-card.js";
import { type MergeRecord, PROVENANCE } from "../target/provenance.js";
import { CHECKSUMS } from "../target/sha256sums.js";
import { checkRoom } from "../target/target.js";
import { isLocalFile, type LocalFile, type SumDType } from "../tensor.js";
import { sha256Files } from "../workers/sha256.js";
import { recordMerge } from "./merge-record.js";

export interface ApplyDeltaOptions extends OutputOptions {
  /** The original model: a local folder or weights file, or `owner/name` or `owner/name@revision` on the Hub. */
  readonly base: string;
  /** The delta: likewise. */
  readonly delta: string;
  /** Branch, tag or commit of a base on the Hub; default `main`. */
  readonly baseRevision?: string | undefined;
  /** The same for a delta on the Hub. */
  readonly deltaRevision?: string | undefined;
  /** The folder to make. */
  readonly target: string;
  /** The dtype to write; `auto` (default): each tensor as in the delta. */
  readonly dtype?: "auto" | SumDType;
  /** Go on where the base check says that the base is another model, or the delta none; default false. */
  readonly force?: boolean;
  /** Don't check whether the base is the delta's; default false. */
  readonly skipBaseCheck?: boolean;
  /** Compare the delta's files with the published SHA-256 first; default false. */
  readonly verifyDelta?: boolean;
  /** Read the target back from the disk and compare it, before it appears; default false. */
  readonly verify?: boolean;
  /** What becomes of tensors and rows that only one side has. */
  readonly rules?: Partial<MatchRules>;
  /** target = base + scale * delta; any number but 0, default 1. */
  readonly scale?: number;
  /**
   * Write a prompt template into the tokenizer's config; `auto`: that of the recognised release. Default null:
   * none.
   */
  readonly chatTemplate?: "auto" | PromptStyle | null;
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
  readonly baseCheck: BaseCheck | null;
  /** Null where the delta isn't one of the known releases. */
  readonly release: RecognizedRelease | null;
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly freeBytes: number;
  readonly warnings: readonly string[];
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
  const target = checkFolder(options.target, [base, delta], options);
  const configs = { base: readModelConfig(base.folder), delta: readModelConfig(delta.folder) };
  const release = await recognize(delta, configs.delta, options, voice);
  const kernel = await compileKernel(options.kernel ?? "auto");

  const hints = configHints(configs.base, configs.delta);
  const baseCheck =
    options.skipBaseCheck === true ? null : await checkBase(base, delta, { ...options, kernel });
  const refusal =
    baseCheck === null || options.force === true ? null : baseError(baseCheck, [...hints, ...release.hints]);
  // Swapped sides explain names and shapes that differ; any other misfit is explained by them.
  if (refusal?.code === "swapped") throw refusal;
  const rules = { ...DEFAULT_RULES, ...options.rules };
  const match = matchCheckpoints(base, delta, configs, rules);
  if (refusal !== null) throw refusal;
  if (release.recognized !== null) voice.note(`${describeRelease(release.recognized)}.`);
  if (baseCheck !== null) (baseCheck.isWarning ? voice.warn : voice.detail)(describeBaseCheck(baseCheck));
  for (const hint of hints)
    (baseCheck?.verdict === "exact" ? voice.detail : voice.warn)(`${hint} (config.json).`);

  const dtype = options.dtype ?? "auto";
  const plan = layOut(match, {
    dtype,
    format: options.format ?? "safetensors",
    maxShardBytes: options.maxShardBytes ?? DEFAULT_MAX_SHARD_BYTES,
    scale: options.scale ?? 1,
  });
  const assets = planAssets(delta.folder, base.folder, assetFacts(plan, delta), {
    chatTemplate: chatTemplateStyle(options.chatTemplate ?? null, release.recognized),
  });
  assets.notes.forEach(voice.note);
  assets.warnings.forEach(voice.warn);
  const card = modelCard({
    target,
    base: sources.base,
    delta: sources.delta,
    scale: plan.scale,
    baseCheck: baseCheck?.sentence ?? null,
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
      baseCheck,
    }),
    records: [PROVENANCE, ...(options.checksums === true ? [CHECKSUMS] : [])],
    baseCheck,
    release: release.recognized,
    kernel,
    threads: options.threads ?? defaultThreads([base, delta]),
    freeBytes: checkRoom(target, roomFor(target, plan, assets.files.length)),
    warnings: voice.warnings,
  };
}

async function checkBase(
  base: Checkpoint,
  delta: Checkpoint,
  options: SampleModelsOptions,
): Promise<BaseCheck> {
  const sample = { of: "base check", base: base.tensors, other: delta.tensors } as const;
  return judgeBase(await sampleModels(sample, [base, delta], options));
}

function describeBaseCheck(baseCheck: BaseCheck): string {
  const advice = baseAdvice(baseCheck);
  return advice === null ? `${baseCheck.sentence}.` : `${baseCheck.sentence}. ${advice}`;
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
    const digests = await sha256Files(localFilesOf(delta), { signal: options.signal });
    const verification = verifyDelta(digests, recognized);
    (verification.isWarning ? voice.warn : voice.note)(`${verification.sentence}.`);
    recognized = verification.recognized ?? recognized;
  }
  return { recognized, hints: hint === null ? [] : [hint] };
}

/** Errors: `bad-usage` where some are on the Hub: a digest needs all of a file, in its order, before the merge. */
function localFilesOf({ files }: Checkpoint): LocalFile[] {
  const local = files.filter(isLocalFile);
  if (local.length === files.length) return local;
  throw new ApplyDeltaError(
    "bad-usage",
    "--verify-delta needs the delta's files, and --stream leaves them on the Hub.",
    {
      hint: "Leave one of the two out. Without --stream the delta is downloaded, and its SHA-256 is checked then.",
    },
  );
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
