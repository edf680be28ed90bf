/** A merge in parts, for several machines: each makes its shards; the last one done completes the target. */
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import type { OpenModel } from "../hub/models.js";
import { describeInterruption, RESUMES } from "../interrupt.js";
import { fingerprintOf } from "../merge/fingerprint.js";
import type { MergePlan } from "../merge/merge-plan.js";
import { describeIdleParts, type Part, planOfPart, readPart } from "../merge/part.js";
import type { WarningLog } from "../merge/warning-log.js";
import { writeShards } from "../merge/write-shards.js";
import { parseOptions } from "../options.js";
import { silentReporter } from "../progress.js";
import { stagingPathOf } from "../target/describe.js";
import type { Journal } from "../target/journal.js";
import { openPart, type PartOptions, readParts, retryWhileBusy } from "../target/parts.js";
import { readProvenance } from "../target/provenance.js";
import { checkTarget } from "../target/target.js";
import { noteWaiting } from "../target/with-staging.js";
import { findMade } from "./already-made.js";
import { filesOfTarget, makeTarget } from "./apply-delta.js";
import type { MergeSummary, PartSummary } from "./documents.js";
import { judgeFindings } from "./judge-findings.js";
import {
  type ApplyDeltaOptions,
  type ApplyPartOptions,
  applyOptions,
  type FinishPartsOptions,
} from "./options.js";
import { targetKindOf } from "./target-kind.js";
import { type PlannedMerge, withPlan } from "./with-plan.js";

export { finishOptions, partOptions } from "./options.js";

/**
 * Makes the shards of one part, and completes the target where all others are made. Rejects with an `ApplyDeltaError`;
 * then what other parts made is as it was.
 */
export async function applyPart({ part: text, ...options }: ApplyPartOptions): Promise<PartSummary> {
  const start = performance.now();
  const part = readPart(text);
  refuseOptions(options);
  try {
    const run = () =>
      withPlan(options, "first", async (merge, log) => {
        const idle = describeIdleParts(merge.plan, part.count);
        if (idle !== null) log.warn(idle);
        const shards = await makeShards(merge, part, options, log);
        const completed = isWhole(merge.plan, readParts(merge.target))
          ? await completeOnce(merge, options, log, start)
          : null;
        return summarize(merge, text, shards, completed, log, start);
      });
    return await describeInterruption("the part is not complete", run, RESUMES);
  } catch (error) {
    // A scheduler runs a part again when all is done.
    const made = isApplyDeltaError(error, "target-exists") ? await findMade(options, start) : null;
    if (made === null) throw error;
    return describeMade(made, text, start);
  }
}

/** Completes a target whose parts are all made. Errors: `parts-missing`, `target-differs`; those of `applyDelta`. */
export async function finishParts({ target, ...call }: FinishPartsOptions): Promise<PartSummary> {
  const start = performance.now();
  const { isFile } = targetKindOf({ target });
  const place = checkTarget(target, { overwrite: true, sources: [], isFile });
  const journal = readParts(place);
  if (journal === null) return alreadyComplete(place);
  const { stream, ...options } = journal.parts.options;
  const parsed = parseOptions(applyOptions, { ...options, target, hub: { ...call.hub, stream } });
  const whole: ApplyDeltaOptions = { ...parsed, ...call, hub: parsed.hub };
  return withPlan(whole, "headers", async (merge, log) => {
    const completed = await makeTarget(merge, whole, log, start, true);
    return summarize(merge, null, [], completed, log, start);
  });
}

/** A part is kept only once it is on the disk, and none may throw away what others made. */
function refuseOptions({ restart, sync }: ApplyDeltaOptions): void {
  const option = restart === true ? "--restart" : sync === false ? "--no-sync" : null;
  if (option === null) return;
  const hint = restart === true ? "Remove the folder that ends in .incomplete first." : "Leave it out.";
  throw new ApplyDeltaError("bad-usage", `${option} doesn't go with --part.`, { hint });
}

async function makeShards(
  merge: PlannedMerge,
  part: Part,
  options: ApplyDeltaOptions,
  log: WarningLog,
): Promise<string[]> {
  const { force = false, overwrite = false, signal, reporter = silentReporter } = options;
  const plan = planOfPart(merge.plan, part);
  const staging = await openPart(merge.target, {
    fingerprint: fingerprintOf(merge.sources, merge.plan),
    part,
    options: sharedOptions(merge, options),
    shards: plan.shards.map(({ fileName }) => fileName),
    ...{ overwrite, signal, onWait: noteWaiting(reporter), files: filesOfTarget(merge) },
    isMade: async () => (await findMade(options, performance.now())) !== null,
  });
  try {
    const found = await writeShards({ ...merge, plan }, staging, log, signal);
    judgeFindings(found, plan, merge.baseCheck, force, log);
  } finally {
    staging.leave();
    reporter.progressDone();
  }
  return plan.shards.map(({ fileName }) => fileName).filter((name) => !staging.kept.has(name));
}

/** What whoever completes the target must know; nothing of this machine but the paths of the models. */
function sharedOptions({ sources }: PlannedMerge, options: ApplyDeltaOptions): PartOptions {
  const { target: _, threads: _threads, kernel: _kernel, reporter: _reporter, ...rest } = options;
  const { hub, signal: _signal, ...shared } = rest;
  const place = ({ hub: origin, path, reference }: OpenModel) =>
    origin === null ? resolve(path) : reference;
  return { ...shared, base: place(sources.base), delta: place(sources.delta), stream: hub?.stream ?? false };
}

function isWhole({ shards }: MergePlan, journal: Journal | null): boolean {
  return journal !== null && shards.every(({ fileName }) => journal.finished.has(fileName));
}

/** Completes the target; null where another run does, or has. */
async function completeOnce(
  merge: PlannedMerge,
  options: ApplyDeltaOptions,
  log: WarningLog,
  start: number,
): Promise<MergeSummary | null> {
  try {
    return await retryWhileBusy(() => makeTarget(merge, options, log, start, true));
  } catch (error) {
    // The folder became the target while this run looked at it, or begins anew.
    const isAnothers = isApplyDeltaError(error, "parts-missing") || isApplyDeltaError(error, "target-busy");
    if (isAnothers || !existsSync(stagingPathOf(merge.target))) return null;
    throw error;
  }
}

/** Of a target that is there, made by all parts. */
function describeMade(
  { target, shards, warnings }: { target: string; shards: readonly unknown[]; warnings: readonly string[] },
  part: string | null,
  start: number,
): PartSummary {
  return {
    ...{ target, part, shards: [], shardsDone: shards.length, shardsTotal: shards.length },
    ...{ published: true, merge: null, seconds: (performance.now() - start) / 1000, warnings: [...warnings] },
  };
}

/** The files of a target that is a GGUF, whole or split, which are there. */
function ggufShards(target: string): string[] {
  const { isFile } = targetKindOf({ target });
  const folder = dirname(target);
  if (!isFile || !existsSync(folder)) return [];
  const [last, stem] = [basename(target), basename(target).slice(0, -".gguf".length)];
  const isShard = (name: string) =>
    name.startsWith(stem) && /^-\d{5}-of-\d{5}\.gguf$/i.test(name.slice(stem.length));
  return readdirSync(folder).filter((name) => name === last || isShard(name));
}

/** Another run was faster. Errors: `source-not-found`, where there is no target of this program. */
function alreadyComplete(target: string): PartSummary {
  const ggufs = ggufShards(target);
  const shards = ggufs.length > 0 ? ggufs : readProvenance(target)?.target.weights;
  if (shards !== undefined) return describeMade({ target, shards, warnings: [] }, null, performance.now());
  throw new ApplyDeltaError("source-not-found", "No part of this target was begun.", {
    file: stagingPathOf(target),
    hint: "Make its parts first, with --part.",
  });
}

function summarize(
  { target, plan }: PlannedMerge,
  part: string | null,
  shards: readonly string[],
  merge: MergeSummary | null,
  { warnings }: WarningLog,
  start: number,
): PartSummary {
  const journal = merge === null ? readParts(target) : null;
  const shardsTotal = plan.shards.length;
  return {
    ...{ target, part, shards, shardsDone: journal?.finished.size ?? shardsTotal, shardsTotal },
    ...{ published: journal === null, merge, seconds: (performance.now() - start) / 1000, warnings },
  };
}
