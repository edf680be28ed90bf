/**
 * In: a folder that should hold a whole model, and what is known of how it was made. Out: every check and how it ended.
 * The same checks serve `verify` and a merge's own `--verify`, so that the one never passes what the other refuses.
 * Guards: what is wrong with the target is a failed check; only a system that can't read is an error.
 */

import { EXIT, isApplyDeltaError } from "../errors.js";
import { type Checkpoint, openCheckpoint } from "../formats/open.js";
import { pauseFor } from "../interrupt.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { MergePlan } from "../merge/merge-plan.js";
import { type Reporter, silentReporter } from "../progress.js";
import { type Provenance, readProvenance } from "../target/provenance.js";
import { targetAltered } from "../target/records.js";
import { CHECKSUMS } from "../target/sha256sums.js";
import { checkChecksums, checkRecord } from "./check-files.js";
import { checkNumbers } from "./check-numbers.js";
import { checkConfig, checkIndex, checkTokenizer, checkWeights } from "./check-structure.js";
import type { Check, CheckName } from "./documents.js";
import { describeError, failed, skipped } from "./outcome.js";
import { describeFailures, verificationOf } from "./verification.js";

export interface VerifyFolderOptions {
  /** What base and delta give; null where they weren't given. */
  readonly plan: MergePlan | null;
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface FolderFindings {
  readonly checks: readonly Check[];
  readonly notes: readonly string[];
}

/** Errors: `source-not-found`, `source-unreadable`, `interrupted`. */
export async function verifyFolder(folder: string, options: VerifyFolderOptions): Promise<FolderFindings> {
  const { plan, kernel, threads, signal } = options;
  const reporter = options.reporter ?? silentReporter;
  const opened = await openTarget(folder, signal);
  const target = "checkpoint" in opened ? opened.checkpoint : null;
  try {
    const checks: Check[] = [];
    if ("check" in opened) {
      checks.push(opened.check);
      for (const name of ["index", "config", "tokenizer"] as const) checks.push(unreadable(name));
    } else {
      const { checkpoint } = opened;
      checks.push(checkWeights(checkpoint));
      checks.push(await attempt("index", () => checkIndex(checkpoint)));
      checks.push(await attempt("config", () => checkConfig(checkpoint)));
      checks.push(await attempt("tokenizer", () => checkTokenizer(checkpoint)));
    }
    checks.push(await attempt("record", () => checkRecord(folder, readProvenance(folder), target)));
    checks.push(
      await attempt("checksums", () =>
        checkChecksums(folder, {
          threads,
          signal,
          fromDisk: true,
          onProgress: (progress) =>
            reporter.progress({ activity: "verifying checksums", ...progress, current: CHECKSUMS }),
        }),
      ),
    );
    if (target === null) checks.push(unreadable("numbers"), unreadable("sum"));
    else
      checks.push(
        ...(await checkNumbers(target, {
          plan,
          kernel,
          threads,
          signal,
          onProgress: (bytesDone, bytesTotal) =>
            reporter.progress({ activity: "verifying", bytesDone, bytesTotal, current: "weights" }),
        })),
      );
    return { checks, notes: target?.notes ?? [] };
  } finally {
    target?.close();
    reporter.progressDone();
  }
}

/** Throws `target-altered` where a check fails; the errors of `verifyFolder`. */
export async function assertVerified(folder: string, options: VerifyFolderOptions): Promise<void> {
  const { checks, notes } = await verifyFolder(folder, options);
  const verification = verificationOf(folder, checks, notes);
  if (verification.verdict === "failed") throw targetAltered(describeFailures(verification));
}

/** The record that `verify` takes its rules from; null where there is none that can be trusted. */
export function trustedProvenance(folder: string): Provenance | null {
  try {
    return readProvenance(folder);
  } catch (error) {
    if (isApplyDeltaError(error, "record-malformed")) return null;
    throw error;
  }
}

async function openTarget(
  folder: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly checkpoint: Checkpoint } | { readonly check: Check }> {
  try {
    return { checkpoint: await openCheckpoint(folder, pauseFor(signal)) };
  } catch (error) {
    return { check: failure("weights", error) };
  }
}

async function attempt(name: CheckName, check: () => Check | Promise<Check>): Promise<Check> {
  try {
    return await check();
  } catch (error) {
    return failure(name, error);
  }
}

/** A failed check, where the error is about what the target holds. */
function failure(name: CheckName, error: unknown): Check {
  const isFault =
    isApplyDeltaError(error) && [EXIT.malformed, EXIT.verification].some((exit) => exit === error.exitCode);
  if (!isFault) throw error;
  return failed(name, [describeError(error)]);
}

function unreadable(name: CheckName): Check {
  return skipped(name, "the weights can't be opened");
}
