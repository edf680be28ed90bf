/** Making a delta, step by step: resolve, open, check, plan, execute, prove, write, publish. */

import type { LayerChange } from "../base-check/documents.js";
import { MODEL_RATIO } from "../base-check/judge-tensors.js";
import { changeSample } from "../base-check/layer-change.js";
import { sampleModels } from "../base-check/sample-models.js";
import type { WeightsNeed } from "../hub/fetch-models.js";
import { localPathsOf, type OpenModel, readRequest, withModels } from "../hub/models.js";
import { pauseFor, throwIfAborted } from "../interrupt.js";
import { compileKernel } from "../kernel/select.js";
import type { Asset } from "../llama/assets.js";
import { MODEL_CARD } from "../llama/file-names.js";
import { isRotaryBuffer } from "../llama/tensor-names.js";
import { describeLayout, summarizeOutput } from "../merge/describe-output.js";
import type { Match } from "../merge/match.js";
import { sideOf } from "../merge/match-checkpoints.js";
import { layOut, type MergePlan, notAdded } from "../merge/merge-plan.js";
import { openSide } from "../merge/open-side.js";
import { planFiles } from "../merge/plan-files.js";
import { createWarningLog, type WarningLog } from "../merge/warning-log.js";
import { stagedTarget, type WeightsOutput, writeShards } from "../merge/write-shards.js";
import { silentReporter } from "../progress.js";
import { checkRoom, roomFor } from "../target/room.js";
import { CHECKSUMS, writeChecksums } from "../target/sha256sums.js";
import { checkTarget } from "../target/target.js";
import { withStaging } from "../target/with-staging.js";
import { defaultThreads } from "../workers/pool.js";
import { deltaCard } from "./delta-card.js";
import type { DeltaPlanDocument, MakeSummary } from "./documents.js";
import { matchTuned, optionsToApply } from "./match-tuned.js";
import { type MakeDeltaOptions, tunedRules } from "./options.js";
import { describeRestoration, findingDoubts, judgeRestoration, restorationError } from "./restoration.js";
import { swapDoubt } from "./swap-doubt.js";

export { type MakeDeltaOptions, makeOptions } from "./options.js";

/** Makes tuned - base in a new folder. Rejects with an `ApplyDeltaError`; then there is no delta. */
export async function makeDelta(options: MakeDeltaOptions): Promise<MakeSummary> {
  const start = performance.now();
  const { checksums = false, exact = false, signal } = options;
  return withPlan(options, "first", async (made, log) => {
    const { target, plan, base, tuned, applyWith } = made;
    let restores = judgeRestoration([], plan.parameterCount);
    const keptShards = await withStaging(stagedTarget(made), options, log, async (staging) => {
      const findings = await writeShards(made, staging, log, signal);
      for (const doubt of findingDoubts(findings)) log.warn(doubt);
      restores = judgeRestoration(findings, plan.parameterCount);
      const error = exact ? restorationError(restores) : null;
      if (error !== null) throw error;
      if (staging.isPublished) return;
      const card = {
        ...{ delta: target, base, tuned, applyWith },
        proof: describeRestoration(restores),
        fastChatDiffers: fastChatDiffers(plan),
      };
      const files = [{ fileName: MODEL_CARD, text: deltaCard(card) }, ...made.files];
      staging.writeAssets(files);
      const written = [...plan.shards, ...files].map(({ fileName }) => fileName);
      if (checksums) await writeChecksums(staging, CHECKSUMS, written, { reporter: log, signal });
    });
    return {
      delta: target,
      ...summarizeOutput(made, keptShards, start),
      change: made.change,
      restores,
      applyWith,
      warnings: log.warnings,
    };
  });
}

/** Everything up to the first byte written: what `--dry-run` shows. Touches nothing. */
export async function planDelta(options: MakeDeltaOptions): Promise<DeltaPlanDocument> {
  return withPlan(options, "headers", async (made, { warnings }) => {
    const { target, plan, change, applyWith, freeBytes } = made;
    const files = made.files.map(({ fileName }) => fileName);
    const records = [MODEL_CARD, ...(options.checksums === true ? [CHECKSUMS] : [])];
    return {
      delta: target,
      dryRun: true,
      ...describeLayout(made, [...files, ...records], freeBytes),
      notSubtracted: notAdded(plan),
      change,
      applyWith,
      warnings,
    };
  });
}

/** Finds the models and a place for the delta, opens, checks and plans, runs `body`, closes whatever happens. */
async function withPlan<T>(
  options: MakeDeltaOptions,
  weights: WeightsNeed,
  body: (made: PlannedDelta, log: WarningLog) => Promise<T>,
): Promise<T> {
  const { overwrite = false, hub, reporter = silentReporter, signal } = options;
  const requests = [
    readRequest({ role: "base", reference: options.base, revision: options.baseRevision }),
    readRequest({ role: "tuned model", reference: options.tuned, revision: options.tunedRevision }),
  ] as const;
  const target = checkTarget(options.delta, { overwrite, sources: localPathsOf(requests) });
  return withModels(requests, { hub, reporter, signal, target, weights }, async (base, tuned) => {
    const log = createWarningLog(reporter);
    const made = await planTarget(await openSide(base, tuned), await openSide(tuned), target, options, log);
    throwIfAborted(signal);
    return body(made, log);
  });
}

/** Everything that is known before the first byte is written. */
interface PlannedDelta extends WeightsOutput {
  readonly base: OpenModel;
  readonly tuned: OpenModel;
  /** The files beside the weights, but for the model card, which says what came of it. */
  readonly files: readonly Asset[];
  /** How much the tuning changed, in a sample; null where nothing could be compared. */
  readonly change: LayerChange["overall"] | null;
  /** Options that applying needs for every tensor to come back. */
  readonly applyWith: readonly string[];
  readonly freeBytes: number;
}

/** Whatever can be found wrong without writing is found wrong here. */
async function planTarget(
  base: OpenModel,
  tuned: OpenModel,
  target: string,
  options: MakeDeltaOptions,
  log: WarningLog,
): Promise<PlannedDelta> {
  for (const text of [...base.notes, ...tuned.notes]) log.note(text);
  const { format, maxShardBytes, signal, threads = defaultThreads([base, tuned]) } = options;
  const rules = tunedRules.parse({ ...options.rules });
  const match = matchTuned(sideOf(base), sideOf(tuned), rules);
  const exchanged = swapDoubt(base, tuned);
  if (exchanged !== null) log.warn(exchanged);
  const applyWith = optionsToApply(match);
  describeMatch(match, applyWith, log);
  const kernel = await compileKernel(options.kernel ?? "auto", log);
  const change = await sampleModels(changeSample, base, tuned, { kernel, reporter: log, signal });
  const doubt = tuningDoubt(change);
  if (doubt !== null) log.warn(doubt);
  const plan = layOut(match, { format, maxShardBytes });
  const beside = { chatTemplate: null, source: "tuned model", pause: pauseFor(signal) } as const;
  const { files } = await planFiles(plan, tuned, base, beside, log);
  return {
    target,
    plan,
    base,
    tuned,
    sources: { base, "tuned model": tuned },
    files,
    change: change?.overall ?? null,
    applyWith,
    kernel,
    threads,
    freeBytes: checkRoom(target, roomFor(target, plan, files.length)),
  };
}

/** Two models differ by about their own size; a model differs from a delta by many times the delta's. */
const DELTA_RATIO = 4;

/** What is odd about a tuned model, as a sentence; only a warning: unlike a delta, a pair of models proves nothing. */
export function tuningDoubt(change: LayerChange | null): string | null {
  if (change === null) return "base and tuned model have no tensor in common that could be compared.";
  const { comparedAs, overall, kinds } = change;
  const { baseRms, changeRms, ratio } = overall;
  const sizes = `rms of the base ${baseRms.toPrecision(3)}`;
  const consequence =
    "Are they the right two, each behind its own option? Applying this delta takes --force.";
  if (baseRms === 0) return `the base's weights are all zeros. ${consequence}`;
  if (comparedAs === "delta") {
    return `the tuned model's weights are much smaller than the base's (${sizes}, of the tuned model ${changeRms.toPrecision(3)}): it looks like a delta itself. ${consequence}`;
  }
  if ([overall, ...kinds].every((size) => size.changeRms === 0)) {
    return "base and tuned model are the same wherever they were sampled: the delta will be all zeros.";
  }
  if (ratio !== null && ratio > DELTA_RATIO) {
    return `the base's weights are much smaller than the tuned model's (${sizes}, of the difference ${changeRms.toPrecision(3)}): the base looks like a delta. ${consequence}`;
  }
  if (ratio !== null && ratio > MODEL_RATIO) {
    return `these two don't look like a model and its tuned version: they differ by ${ratio.toFixed(2)} times the base's weights (${sizes}, of the difference ${changeRms.toPrecision(3)}). ${consequence}`;
  }
  return null;
}

/** Says which options the delta needs, and which values won't come back as they were. */
function describeMatch({ tensors, dropped }: Match, applyWith: readonly string[], log: WarningLog): void {
  for (const option of applyWith) {
    const names = [...tensors, ...dropped].filter((tensor) => tensor.applyWith === option);
    const which = names.length === 1 ? names[0]?.name : `${names.length} tensors`;
    log.note(`${which}: only on one side. Applying this delta takes ${option}.`);
  }
  if (tensors.some(({ delta, name }) => delta?.dtype === "F64" && !isRotaryBuffer(name)))
    log.note("the tuned model's float64 is rounded to float32, and so is what comes back.");
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
