/** Everything up to the first byte written: finds base and delta, opens, checks and plans. */
import { setImmediate } from "node:timers/promises";
import type { BaseCheck } from "../base-check/documents.js";
import type { WeightsNeed } from "../hub/fetch-models.js";
import { localPathsOf, type OpenModel, readRequest, withModels } from "../hub/models.js";
import { pauseFor, throwIfAborted } from "../interrupt.js";
import { compileKernel } from "../kernel/select.js";
import type { Asset } from "../llama/assets.js";
import { describeRelease } from "../llama/describe.js";
import type { RecognizedRelease } from "../llama/documents.js";
import { MODEL_CARD } from "../llama/file-names.js";
import { embeddingOf, LM_HEAD } from "../llama/tensor-names.js";
import { summarizeOutput } from "../merge/describe-output.js";
import type { MatchedTensor } from "../merge/match.js";
import { layOut } from "../merge/merge-plan.js";
import { openDelta, openSide } from "../merge/open-side.js";
import { matchRules } from "../merge/options.js";
import { planFiles } from "../merge/plan-files.js";
import { createWarningLog, type WarningLog } from "../merge/warning-log.js";
import type { WeightsOutput } from "../merge/write-shards.js";
import { type ProgressUpdate, silentReporter } from "../progress.js";
import { modelCard } from "../target/model-card.js";
import type { MergeRecord } from "../target/provenance.js";
import { checkTarget } from "../target/target.js";
import { defaultThreads } from "../workers/pool.js";
import { chatTemplateStyle, checkSides } from "./check-sides.js";
import { recordMerge } from "./merge-record.js";
import type { ApplyDeltaOptions } from "./options.js";
import { checksumsOf, planGguf } from "./plan-gguf.js";
import { refuseHollowSides, refuseMisfit, refuseMisplacedRelease } from "./refusals.js";
import { folderLayout, targetKindOf } from "./target-kind.js";
import { withChecklist } from "./verify-base.js";

/** The models of the call, as `withModels` is asked for them. */
export function readRequests({ base, delta, baseRevision, deltaRevision }: ApplyDeltaOptions) {
  return [
    readRequest({ role: "base", reference: base, revision: baseRevision }),
    readRequest({ role: "delta", reference: delta, revision: deltaRevision }),
  ] as const;
}

/** Finds the models and a place for the target, opens, checks and plans, runs `body`, closes whatever happens. */
export async function withPlan<T>(
  options: ApplyDeltaOptions,
  weights: WeightsNeed,
  body: (merge: PlannedMerge, log: WarningLog) => Promise<T>,
): Promise<T> {
  const { overwrite = false, hub, reporter = silentReporter, signal } = options;
  const requests = readRequests(options);
  if (options.force !== true) refuseMisplacedRelease(requests);
  const { isFile } = targetKindOf(options);
  const target = checkTarget(options.target, { overwrite, sources: localPathsOf(requests), isFile });
  return withModels(requests, { hub, reporter, signal, target, weights }, async (base, delta) => {
    let isArriving = false;
    const progress = (update: ProgressUpdate) => {
      if (!isArriving) reporter.progress(update);
    };
    const log = createWarningLog({ ...reporter, progress });
    const openBase = await openSide(base, delta);
    try {
      const merge = await planTarget(openBase, await openDelta(delta), target, options, log);
      throwIfAborted(signal);
      // Of two activities at once, the longer one is shown.
      isArriving = true;
      const arrival = Promise.all([base.download(), delta.download()]).finally(() => {
        isArriving = false;
      });
      // What fails at once, for example for want of room, does so before anything is made; later the readers are told.
      await Promise.race([arrival, setImmediate()]);
      arrival.catch(() => {});
      return await body({ ...merge, arrival }, log);
    } catch (error) {
      throw withChecklist(error, openBase);
    }
  });
}

/** Everything that is known before the first byte is written. */
export interface PlannedMerge extends WeightsOutput {
  readonly sources: { readonly base: OpenModel; readonly delta: OpenModel };
  /** The files beside the weights. */
  readonly files: readonly Asset[];
  /** Whether they are the target, and no folder around them. */
  readonly isFile: boolean;
  /** The name of the file with their checksums; null for none. */
  readonly checksums: string | null;
  /** What the provenance says of the merge. */
  readonly record: MergeRecord;
  /** Null where the check was skipped. */
  readonly baseCheck: BaseCheck | null;
  /** Null where the delta isn't one of the known releases. */
  readonly release: RecognizedRelease | null;
  /** Resolves once all that is downloaded meanwhile is in the cache; rejects with the download's error. */
  readonly arrival: Promise<unknown>;
}

const BARE_HEAD =
  "lm_head.weight is only in the delta and was copied as it is. If it is a difference, the target will write noise: give a base that has it.";

/** Whatever can be found wrong without writing is found wrong here. */
async function planTarget(
  base: OpenModel,
  delta: OpenModel,
  target: string,
  options: ApplyDeltaOptions,
  log: WarningLog,
): Promise<Omit<PlannedMerge, "arrival">> {
  for (const text of [...base.notes, ...delta.notes]) log.note(text);
  const { dtype = "auto", chatTemplate = null, modelfile = null } = options;
  const { threads = defaultThreads([base, delta]) } = options;
  const asked = matchRules.parse({ ...options.rules });
  const kernel = await compileKernel(options.kernel ?? "auto", log);
  const { match, rules, baseCheck, release } = await checkSides(base, delta, asked, kernel, options, log);
  const pause = pauseFor(options.signal);
  await pause();
  if (baseCheck !== null && options.force !== true) refuseHollowSides(baseCheck);
  const isBare = ({ name, base: inBase }: MatchedTensor) => name === LM_HEAD && inBase === null;
  if (match.tensors.some((tensor) => isBare(tensor) && !rules.replace.includes(tensor.name)))
    log.warn(BARE_HEAD);
  const kind = targetKindOf(options);
  const folder = layOut(match, folderLayout(options, kind));
  await pause();
  const text = modelCard({
    base,
    delta,
    scale: folder.scale,
    baseCheck: baseCheck?.sentence ?? null,
    release: release === null ? null : describeRelease(release),
  });
  const dtypeOfDelta = embeddingOf(delta.tensors)?.dtype;
  const style = chatTemplateStyle(chatTemplate, release, dtypeOfDelta);
  const promptAsked = modelfile === "auto" ? (style ?? modelfile) : modelfile;
  const prompt = chatTemplateStyle(promptAsked, release, dtypeOfDelta, "--modelfile");
  const card = { fileName: MODEL_CARD, text };
  const planned = await planFiles(folder, delta, base, { chatTemplate: style, card, pause }, log);
  refuseMisfit(folder, planned);
  const record = await recordMerge(base, delta, folder, dtype, rules, baseCheck);
  const ofGguf = { ...options, target, kind, record, chatTemplate: style, prompt };
  const { plan, files, warnings } =
    kind.format === "gguf"
      ? await planGguf(folder, planned, ofGguf, pause)
      : { plan: folder, files: planned.files, warnings: [] };
  warnings.forEach(log.warn);
  const checksums = options.checksums === true ? checksumsOf(target, kind) : null;
  const made = { target, isFile: kind.isFile, plan, files, record, checksums };
  return { ...made, sources: { base, delta }, baseCheck, release, kernel, threads };
}

/** Checksums are of whole files. */
export function needsEveryByte({ verifyDelta = false, verifyBase = false }: ApplyDeltaOptions): boolean {
  return verifyDelta || verifyBase;
}

/** What is reported of a target, but for what was counted in it. */
export function summarize(merge: PlannedMerge, keptShards: readonly string[], start: number) {
  const { target, plan, release, baseCheck } = merge;
  return {
    target,
    release: release === null ? null : describeRelease(release),
    scale: plan.scale,
    ...summarizeOutput(merge, keptShards, start),
    baseCheck,
    alreadyMade: false,
  };
}
