import { isApplyDeltaError } from "../errors.js";
import { describeRelease } from "../llama/describe.js";
import { describeLayout } from "../merge/describe-output.js";
import { notAdded } from "../merge/merge-plan.js";
import type { WarningLog } from "../merge/warning-log.js";
import { stagedTarget, writeShards } from "../merge/write-shards.js";
import { PROVENANCE, writeProvenance } from "../target/provenance.js";
import { checkRoom, roomFor } from "../target/room.js";
import { writeChecksums } from "../target/sha256sums.js";
import { withStaging } from "../target/with-staging.js";
import { assertVerified } from "../verify/verify-folder.js";
import { findMade } from "./already-made.js";
import type { ElementCounts, MergePlanDocument, MergeSummary } from "./documents.js";
import { judgeFindings } from "./judge-findings.js";
import type { ApplyDeltaOptions } from "./options.js";
import { needsEveryByte, type PlannedMerge, summarize, withPlan } from "./with-plan.js";

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
    await merge.arrival;
    counted = judgeFindings(found, plan, baseCheck, force, log);
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

/** What a target is made of where it isn't a folder, the main file last; null for a folder. */
export function filesOfTarget({ isFile, plan, files, checksums }: PlannedMerge): string[] | null {
  if (!isFile) return null;
  return [...namesOf(files), ...(checksums === null ? [] : [checksums]), ...namesOf(plan.shards).reverse()];
}

function namesOf(files: readonly { readonly fileName: string }[]): string[] {
  return files.map(({ fileName }) => fileName);
}
