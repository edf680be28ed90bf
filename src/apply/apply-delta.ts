/** Applying a delta, step by step: resolve, open, check, plan, execute, write, publish. */
import type { BaseCheck } from "../base-check/documents.js";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { localPathsOf, type OpenModel, readRequest, withModels } from "../hub/models.js";
import { throwIfAborted } from "../interrupt.js";
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
import { silentReporter } from "../progress.js";
import { modelCard } from "../target/model-card.js";
import { type MergeRecord, PROVENANCE, writeProvenance } from "../target/provenance.js";
import { checkRoom, roomFor } from "../target/room.js";
import { CHECKSUMS, writeChecksums } from "../target/sha256sums.js";
import { checkTarget } from "../target/target.js";
import { withStaging } from "../target/with-staging.js";
import { assertVerified } from "../verify/verify-folder.js";
import { defaultThreads } from "../workers/pool.js";
import { isAlreadyMade, recordToCompare } from "./already-made.js";
import { chatTemplateStyle, checkSides } from "./check-sides.js";
import type { ElementCounts, MergePlanDocument, MergeSummary } from "./documents.js";
import { judgeFindings } from "./judge-findings.js";
import { recordMerge } from "./merge-record.js";
import type { ApplyDeltaOptions } from "./options.js";
import { refuseHollowSides } from "./refuse-hollow.js";
import { refuseMisfit } from "./refuse-misfit.js";
import { refuseMisplacedRelease } from "./refuse-release.js";

export { type ApplyDeltaOptions, applyOptions } from "./options.js";

/**
 * Merges base and delta into a new folder; a folder that this very merge made is left as it is. Rejects with an
 * `ApplyDeltaError`; then there is no new target.
 */
export async function applyDelta(options: ApplyDeltaOptions): Promise<MergeSummary> {
  const start = performance.now();
  try {
    return await makeTarget(options, start);
  } catch (error) {
    const made = isApplyDeltaError(error, "target-exists") && (await findMade(options, error, start));
    if (!made) throw error;
    return made;
  }
}

async function makeTarget(options: ApplyDeltaOptions, start: number): Promise<MergeSummary> {
  const { checksums = false, verify = false, force = false, signal } = options;
  return withPlan(options, false, async (merge, log) => {
    const { target, plan, files, record, baseCheck } = merge;
    checkRoom(target, roomFor(target, plan, files.length));
    let counted: ElementCounts = { sums: 0, inexact: 0, notFinite: 0, findings: [] };
    const keptShards = await withStaging(stagedTarget(merge), options, log, async (staging) => {
      const found = await writeShards(merge, staging, log, signal);
      counted = judgeFindings(found, plan, { baseCheck, force, log });
      staging.writeAssets(files);
      const { findings: _, ...sums } = counted;
      await writeProvenance(staging, { ...record, counted: sums }, namesOf(files), checksums);
      const written = [...namesOf(plan.shards), ...namesOf(files), PROVENANCE];
      if (checksums) await writeChecksums(staging, written, { reporter: log, signal });
      if (verify) await assertVerified(staging.folder, { ...merge, reporter: log, signal });
    });
    return { ...summarize(merge, keptShards, start), counted, verified: verify, warnings: log.warnings };
  });
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
async function findMade(
  options: ApplyDeltaOptions,
  { details }: ApplyDeltaError,
  start: number,
): Promise<MergeSummary | null> {
  const { verify = false, signal, verifyDelta = false } = options;
  const requests = readRequests(options);
  const target = checkTarget(options.target, { overwrite: true, sources: localPathsOf(requests) });
  // Where another run is at work, the error is about its lock.
  const found = details.file === target ? recordToCompare(target, requests, options) : null;
  if (found === null) return null;
  // Weights that aren't on this machine stay where they are: headers and a sample are enough.
  const asked = { ...options, overwrite: true, reporter: silentReporter };
  return withPlan(asked, !verifyDelta, async (merge, log) => {
    if (!(await isAlreadyMade(merge, found))) return null;
    if (verify) await assertVerified(target, { ...merge, reporter: options.reporter, signal });
    const { sums, inexact, notFinite } = found.counted ?? { sums: 0, inexact: 0, notFinite: 0 };
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

/** Everything up to the first byte written: what `--dry-run` shows. Touches nothing. */
export async function planMerge(options: ApplyDeltaOptions): Promise<MergePlanDocument> {
  // Checksums need every byte.
  return withPlan(options, options.verifyDelta !== true, async (merge, { warnings }) => {
    const { target, plan, files, release, baseCheck } = merge;
    const freeBytes = checkRoom(target, roomFor(target, plan, files.length));
    const records = [PROVENANCE, ...(options.checksums === true ? [CHECKSUMS] : [])];
    return {
      target,
      dryRun: true,
      release: release === null ? null : describeRelease(release),
      scale: plan.scale,
      ...describeLayout(merge, [...namesOf(files), ...records], freeBytes),
      notAdded: notAdded(plan),
      baseCheck,
      warnings,
    };
  });
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
async function withPlan<T>(
  options: ApplyDeltaOptions,
  headersOnly: boolean,
  body: (merge: PlannedMerge, log: WarningLog) => Promise<T>,
): Promise<T> {
  const { overwrite = false, hub, reporter = silentReporter, signal } = options;
  const requests = readRequests(options);
  if (options.force !== true) refuseMisplacedRelease(requests);
  const target = checkTarget(options.target, { overwrite, sources: localPathsOf(requests) });
  return withModels(requests, { hub, reporter, signal, target, headersOnly }, async (base, delta) => {
    const log = createWarningLog(reporter);
    const merge = await planTarget(await openSide(base, delta), await openDelta(delta), target, options, log);
    throwIfAborted(signal);
    return body(merge, log);
  });
}

/** Everything that is known before the first byte is written. */
interface PlannedMerge extends WeightsOutput {
  /** The files beside the weights. */
  readonly files: readonly Asset[];
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
  const { dtype = "auto", chatTemplate = null, threads = defaultThreads([base, delta]) } = options;
  const asked = matchRules.parse({ ...options.rules });
  const kernel = await compileKernel(options.kernel ?? "auto");
  const { match, rules, baseCheck, release } = await checkSides(base, delta, asked, kernel, options, log);
  if (baseCheck !== null && options.force !== true) refuseHollowSides(baseCheck);
  const isBare = ({ name, base: inBase }: MatchedTensor) => name === LM_HEAD && inBase === null;
  if (match.tensors.some((tensor) => isBare(tensor) && !rules.replace.includes(tensor.name)))
    log.warn(BARE_HEAD);
  const plan = layOut(match, options);
  const text = modelCard({
    base,
    delta,
    scale: plan.scale,
    baseCheck: baseCheck?.sentence ?? null,
    release: release === null ? null : describeRelease(release),
  });
  const style = chatTemplateStyle(chatTemplate, release, embeddingOf(delta.tensors)?.dtype);
  const files = planFiles(
    plan,
    delta,
    base,
    { chatTemplate: style, card: { fileName: MODEL_CARD, text } },
    log,
  );
  refuseMisfit(plan, files);
  const record = await recordMerge({ base, delta, rules, dtype, plan, baseCheck });
  const sources = { base, delta };
  return { target, plan, sources, files, record, baseCheck, release, kernel, threads };
}
