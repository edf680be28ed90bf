/**
 * In: a base and a tuned model, open, and the options. Out: everything that is known before the first byte of their
 * delta is written: the plan, the files beside the weights, how much the tuning changed.
 * Guards: whatever can be found wrong without writing is found wrong here.
 */

import type { LayerChange } from "../base-check/documents.js";
import type { Checkpoint } from "../formats/open.js";
import { type CompiledKernel, compileKernel } from "../kernel/select.js";
import { type Asset, planAssets } from "../llama/assets.js";
import { readModelConfig } from "../llama/model-config.js";
import { isRotaryBuffer } from "../llama/tensor-names.js";
import type { FingerprintedSide } from "../merge/fingerprint.js";
import { sideOf } from "../merge/match-checkpoints.js";
import { layOut, type MergePlan } from "../merge/merge-plan.js";
import {
  assetFacts,
  checkFolder,
  DEFAULT_MAX_SHARD_BYTES,
  defaultThreads,
  indexFile,
  type OutputOptions,
  roomFor,
  sampleModels,
} from "../merge/preparation.js";
import { createVoice } from "../merge/voice.js";
import { silentReporter } from "../progress.js";
import { MODEL_CARD, type ModelOrigin } from "../target/model-card.js";
import { CHECKSUMS } from "../target/sha256sums.js";
import { checkRoom } from "../target/target.js";
import { deltaCard } from "./delta-card.js";
import type { Restoration } from "./documents.js";
import { matchTuned, optionsToApply, type TunedRules } from "./match-tuned.js";
import { describeRestoration } from "./restoration.js";
import { tuningDoubt } from "./tuning-check.js";

export interface MakeDeltaOptions extends OutputOptions {
  /** The original model: a local folder or weights file, or `owner/name` or `owner/name@revision` on the Hub. */
  readonly base: string;
  /** The model tuned from it: likewise. */
  readonly tuned: string;
  /** Branch, tag or commit of a base on the Hub; default `main`. */
  readonly baseRevision?: string | undefined;
  /** The same for a tuned model on the Hub. */
  readonly tunedRevision?: string | undefined;
  /** The folder to make. */
  readonly delta: string;
  /** What becomes of tensors that only one side has. */
  readonly rules?: Partial<TunedRules>;
  /** Make no delta that doesn't give the tuned model back bit for bit; default false. */
  readonly exact?: boolean;
}

/** Everything that is known before the first byte is written. */
export interface PreparedDelta {
  /** The real path of the delta. */
  readonly target: string;
  readonly plan: MergePlan;
  /** What is read, by role. */
  readonly sources: Readonly<Record<"base" | "tuned model", FingerprintedSide>>;
  /** The files beside the weights, but for the model card. */
  readonly files: readonly Asset[];
  /** Names of the files that are written after the proof. */
  readonly records: readonly string[];
  /** How much the tuning changed, in a sample; null where nothing could be compared. */
  readonly change: LayerChange["overall"] | null;
  /** Options that applying needs for every tensor to come back. */
  readonly applyWith: readonly string[];
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly freeBytes: number;
  readonly warnings: readonly string[];
  /** The model card, which says what came of it. */
  card(restoration: Restoration): Asset;
}

const DEFAULT_RULES: TunedRules = { targetOnly: "keep", baseOnly: "error" };

/** Checks everything and plans the delta. Touches nothing. */
export async function prepareDelta(
  base: Checkpoint,
  tuned: Checkpoint,
  options: MakeDeltaOptions,
  origins: Record<"base" | "tuned", ModelOrigin>,
): Promise<PreparedDelta> {
  const voice = createVoice(options.reporter ?? silentReporter);
  voice.describe("base", base);
  voice.describe("tuned model", tuned);
  const target = checkFolder(options.delta, [base, tuned], options);
  const match = matchTuned(
    sideOf(base, readModelConfig(base.folder)),
    sideOf(tuned, readModelConfig(tuned.folder)),
    { ...DEFAULT_RULES, ...options.rules },
  );
  const applyWith = optionsToApply(match);
  for (const option of applyWith) {
    const names = [...match.tensors, ...match.dropped].filter((tensor) => tensor.applyWith === option);
    voice.note(
      `${names.length === 1 ? names[0]?.name : `${names.length} tensors`}: only on one side. Who applies the delta must add ${option}.`,
    );
  }
  if (tuned.tensors.some(({ dtype, name }) => dtype === "F64" && !isRotaryBuffer(name))) {
    voice.note("the tuned model's float64 is rounded to float32, and so is what comes back.");
  }

  const kernel = await compileKernel(options.kernel ?? "auto");
  const sides = { base: base.tensors, other: tuned.tensors };
  const change = await sampleModels({ of: "change", ...sides }, [base, tuned], { ...options, kernel });
  const doubt = tuningDoubt(change);
  if (doubt !== null) voice.warn(doubt);

  const plan = layOut(match, {
    dtype: "auto",
    format: options.format ?? "safetensors",
    maxShardBytes: options.maxShardBytes ?? DEFAULT_MAX_SHARD_BYTES,
    scale: 1,
  });
  const assets = planAssets(tuned.folder, base.folder, assetFacts(plan, tuned), {
    chatTemplate: null,
    source: "tuned model",
  });
  assets.notes.forEach(voice.note);
  assets.warnings.forEach(voice.warn);
  return {
    target,
    plan,
    sources: { base, "tuned model": tuned },
    files: [...assets.files, ...indexFile(plan)],
    records: [MODEL_CARD, ...(options.checksums === true ? [CHECKSUMS] : [])],
    change: change?.overall ?? null,
    applyWith,
    kernel,
    threads: options.threads ?? defaultThreads([base, tuned]),
    freeBytes: checkRoom(target, roomFor(target, plan, assets.files.length)),
    warnings: voice.warnings,
    card: (restoration) => ({
      fileName: MODEL_CARD,
      text: deltaCard({
        delta: target,
        base: origins.base,
        tuned: origins.tuned,
        proof: describeRestoration(restoration),
        applyWith,
        fastChatDiffers: fastChatDiffers(plan),
      }),
    }),
  };
}

/** FastChat loads both models as float16 and goes through the base's names (fastchat/model/apply_delta.py). */
function fastChatDiffers({ tensors }: MergePlan): string[] {
  const sentences: string[] = [];
  if (tensors.some(({ name, dtype }) => dtype !== "F16" && !isRotaryBuffer(name))) {
    sentences.push("FastChat rounds everything to float16.");
  }
  if (tensors.some(({ action }) => action === "grown")) {
    sentences.push("It takes a version up to 0.1.10 for the rows of added tokens.");
  }
  if (tensors.some(({ action }) => action === "copied")) {
    sentences.push("FastChat leaves out the tensors that only the tuned model has.");
  }
  return sentences;
}
