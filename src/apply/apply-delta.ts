/** Applying a delta, step by step: resolve, open, check, plan, execute, write, publish. */
import { setImmediate } from "node:timers/promises";
import type { BaseCheck } from "../base-check/documents.js";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import type { WeightsNeed } from "../hub/fetch-models.js";
import { localPathsOf, type OpenModel, readRequest, withModels } from "../hub/models.js";
import { pauseFor, throwIfAborted } from "../interrupt.js";
import { compileKernel } from "../kernel/select.js";
import type { Asset } from "../llama/assets.js";
import { describeRelease } from "../llama/describe.js";
import type { RecognizedRelease } from "../llama/documents.js";
import { MODEL_CARD } from "../llama/file-names.js";
import { embeddingOf, LM_HEAD } from "../llama/tensor-names.js";
import { describeLayout, summarizeOutput } from "../merge/describe-output.js";
import type { MatchedTensor } from "../merge/match.js";
import { layOut, notAdded } from "../merge/merge-plan.js";
import { openDelta, openSide } from "../merge/open-side.js";
import { matchRules } from "../merge/options.js";
import { planFiles } from "../merge/plan-files.js";
import { createWarningLog, type WarningLog } from "../merge/warning-log.js";
import { stagedTarget, type WeightsOutput, writeShards } from "../merge/write-shards.js";
import { type ProgressUpdate, silentReporter } from "../progress.js";
import { modelCard } from "../target/model-card.js";
import { type MergeRecord, PROVENANCE, writeProvenance } from "../target/provenance.js";
import { checkRoom, roomFor } from "../target/room.js";
import { writeChecksums } from "../target/sha256sums.js";
import { checkTarget } from "../target/target.js";
import { withStaging } from "../target/with-staging.js";
import { assertVerified } from "../verify/verify-folder.js";
import { defaultThreads } from "../workers/pool.js";
import { isAlreadyMade, isGgufMade, recordToCompare } from "./already-made.js";
import { chatTemplateStyle, checkSides } from "./check-sides.js";
import type { ElementCounts, MergePlanDocument, MergeSummary } from "./documents.js";
import { judgeFindings } from "./judge-findings.js";
import { recordMerge } from "./merge-record.js";
import type { ApplyDeltaOptions } from "./options.js";
import { checksumsOf, planGguf } from "./plan-gguf.js";
import { refuseHollowSides } from "./refuse-hollow.js";
import { refuseMisfit } from "./refuse-misfit.js";
import { refuseMisplacedRelease } from "./refuse-release.js";
import { folderLayout, targetKindOf } from "./target-kind.js";
import { withChecklist } from "./verify-base.js";

export { type ApplyDeltaOptions, applyOptions } from "./options.js";

/**
 * Merges base and delta into a new folder; a folder that this very merge made is left as it is. Rejects with an
 * `ApplyDeltaError`; then there is no new target.
 */
export async function applyDelta(options: ApplyDeltaOptions): Promise<MergeSummary> {
  const start = performance.now();
  try {
    const weights = needsEveryByte(options) ? "first" : "meanwhile";
    return await withPlan(options, weights, (merge, log) => makeTarget(merge, options, log, start));
  } catch (error) {
    const made = isApplyDeltaError(error, "target-exists") && (await findMade(options, start));
    if (!made) throw error;
    return made;
  }
}

/**
 * From a plan to the target: executes, judges, writes, publishes. `start`: when the call began; `isLast`: only
 * complete what parts have made.
 */
export async function makeTarget(
  merge: PlannedMerge,
  options: ApplyDeltaOptions,
  log: WarningLog,
  start: number,
  isLast = false,
): Promise<MergeSummary> {
  const { verify = false, force = false, signal } = options;
  const { target, plan, files, record, checksums, baseCheck } = merge;
  checkRoom(target, roomFor(target, plan, files.length));
  let counted: ElementCounts = { sums: 0, inexact: 0, notFinite: 0, findings: [] };
  const made = { ...stagedTarget(merge), files: filesOfTarget(merge) };
  const keptShards = await withStaging(made, { ...options, isLast }, log, async (staging) => {
    const found = await writeShards(merge, staging, log, signal);
    counted = judgeFindings(found, plan, { baseCheck, force, log });
    if (staging.isPublished) return;
    staging.writeAssets(files);
    const { findings: _, ...sums } = counted;
    // A GGUF has its record inside.
    if (plan.format !== "gguf")
      await writeProvenance(staging, { ...record, counted: sums }, namesOf(files), checksums !== null);
    if (checksums !== null)
      await writeChecksums(staging, checksums, writtenBefore(merge), { reporter: log, signal });
    if (verify) await assertVerified(staging.folder, { ...merge, reporter: log, signal });
  });
  return { ...summarize(merge, keptShards, start), counted, verified: verify, warnings: log.warnings };
}

function summarize(merge: PlannedMerge, keptShards: readonly string[], start: number) {
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

/** The summary of a folder that exists and is what the merge would make; null where it isn't, or where that can't be told. */
export async function findMade(options: ApplyDeltaOptions, start: number): Promise<MergeSummary | null> {
  const { verify = false, signal } = options;
  const requests = readRequests(options);
  const { isFile, format } = targetKindOf(options);
  const target = checkTarget(options.target, { overwrite: true, sources: localPathsOf(requests), isFile });
  const found = format === "gguf" ? null : recordToCompare(target, requests, options);
  if (found === null && format !== "gguf") return null;
  // Weights that aren't on this machine stay where they are: headers and a sample are enough.
  const asked = { ...options, overwrite: true, reporter: silentReporter };
  return withPlan(asked, needsEveryByte(options) ? "first" : "headers", async (merge, log) => {
    if (!(found === null ? isGgufMade(merge) : await isAlreadyMade(merge, found))) return null;
    if (verify) await assertVerified(target, { ...merge, reporter: options.reporter, signal });
    const { sums, inexact, notFinite } = found?.counted ?? { sums: 0, inexact: 0, notFinite: 0 };
    const counted = { sums, inexact, notFinite, findings: [] };
    return {
      ...summarize(merge, [], start),
      alreadyMade: true,
      counted,
      verified: verify,
      warnings: log.warnings,
    };
  }).catch((error: unknown) => {
    if (isApplyDeltaError(error, "target-altered")) throw madeButAltered(target, error);
    if (isApplyDeltaError(error) && error.code !== "interrupted") return null;
    throw error;
  });
}

function madeButAltered(file: string, { details: { got } }: ApplyDeltaError): ApplyDeltaError {
  return new ApplyDeltaError(
    "target-altered",
    "This merge made the folder, but it is no longer what it was.",
    {
      file,
      ...(got === undefined ? {} : { got }),
      hint: "Make it again with --overwrite, or choose another folder.",
    },
  );
}

/** Checksums are of whole files. */
function needsEveryByte({ verifyDelta = false, verifyBase = false }: ApplyDeltaOptions): boolean {
  return verifyDelta || verifyBase;
}

/** Everything up to the first byte written: what `--dry-run` shows. Touches nothing. */
export async function planMerge(options: ApplyDeltaOptions): Promise<MergePlanDocument> {
  return withPlan(options, needsEveryByte(options) ? "first" : "headers", async (merge, { warnings }) => {
    const { target, plan, files, checksums, release, baseCheck } = merge;
    const freeBytes = checkRoom(target, roomFor(target, plan, files.length));
    const beside = writtenBefore(merge).slice(plan.shards.length);
    return {
      target,
      dryRun: true,
      release: release === null ? null : describeRelease(release),
      scale: plan.scale,
      ...describeLayout(merge, [...beside, ...(checksums === null ? [] : [checksums])], freeBytes),
      notAdded: notAdded(plan),
      baseCheck,
      warnings,
    };
  });
}

/** The names of all files of a target but its checksums, in their order. */
function writtenBefore({ plan, files }: PlannedMerge): string[] {
  return [...namesOf(plan.shards), ...namesOf(files), ...(plan.format === "gguf" ? [] : [PROVENANCE])];
}

/** What a target is made of where it is no folder, the main file last; null for a folder. */
export function filesOfTarget({ isFile, plan, files, checksums }: PlannedMerge): string[] | null {
  if (!isFile) return null;
  return [...namesOf(files), ...(checksums === null ? [] : [checksums]), ...namesOf(plan.shards).reverse()];
}

function namesOf(files: readonly { readonly fileName: string }[]): string[] {
  return files.map(({ fileName }) => fileName);
}

function readRequests({ base, delta, baseRevision, deltaRevision }: ApplyDeltaOptions) {
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
      return await body(merge, log);
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
): Promise<PlannedMerge> {
  for (const text of [...base.notes, ...delta.notes]) log.note(text);
  const {
    dtype = "auto",
    chatTemplate = null,
    modelfile = null,
    threads = defaultThreads([base, delta]),
  } = options;
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
  const assets = planned.files;
  const record = await recordMerge({ base, delta, rules, dtype, plan: folder, baseCheck });
  const { plan, files, warnings } =
    kind.format === "gguf"
      ? await planGguf(
          folder,
          assets,
          { ...options, target, kind, record, chatTemplate: style, prompt },
          pause,
        )
      : { plan: folder, files: assets, warnings: [] };
  warnings.forEach(log.warn);
  const checksums = options.checksums === true ? checksumsOf(target, kind) : null;
  const made = { target, isFile: kind.isFile, plan, files, record, checksums };
  return { ...made, sources: { base, delta }, baseCheck, release, kernel, threads };
}
