/**
 * Every check of a folder that should hold a whole model. `verify` and a merge's own `--verify` make the same ones, so
 * that one never passes what the other refuses. What is wrong with the target is a failed check; only a system that
 * can't read is an error.
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
import type { Check, CheckName, Verification } from "./documents.js";
import { describeError, failed, hasFailed, skipped, verificationOf } from "./outcome.js";

export interface VerifyFolderOptions {
  /** What base and delta give; null where they weren't given. */
  readonly plan: MergePlan | null;
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Errors: `source-not-found`, `source-unreadable`, `interrupted`. */
export async function verifyFolder(folder: string, options: VerifyFolderOptions): Promise<Verification> {
  const { plan, kernel, threads, reporter = silentReporter, signal } = options;
  const target = await openTarget(folder, signal);
  const checkpoint = "tensors" in target ? target : null;
  try {
    const checks =
      "tensors" in target
        ? await checkStructure(target)
        : [target, unreadable("index"), unreadable("config"), unreadable("tokenizer")];
    checks.push(await attempt("record", () => checkRecord(folder, readProvenance(folder), checkpoint)));
    const checksums = {
      threads,
      signal,
      fromDisk: true,
      onProgress: (progress: { readonly bytesDone: number; readonly bytesTotal: number }) =>
        reporter.progress({ activity: "verifying checksums", ...progress, current: CHECKSUMS }),
    };
    checks.push(await attempt("checksums", () => checkChecksums(folder, checksums)));
    const onProgress = (bytesDone: number, bytesTotal: number) =>
      reporter.progress({ activity: "verifying", bytesDone, bytesTotal, current: "weights" });
    const numbers =
      checkpoint === null
        ? [unreadable("numbers"), unreadable("sum")]
        : await checkNumbers(checkpoint, { plan, kernel, threads, signal, onProgress });
    return verificationOf(folder, [...checks, ...numbers], checkpoint?.notes ?? []);
  } finally {
    checkpoint?.close();
    reporter.progressDone();
  }
}

async function checkStructure(checkpoint: Checkpoint): Promise<Check[]> {
  return [
    checkWeights(checkpoint),
    await attempt("index", () => checkIndex(checkpoint)),
    await attempt("config", () => checkConfig(checkpoint)),
    await attempt("tokenizer", () => checkTokenizer(checkpoint)),
  ];
}

/** Throws `target-altered` where a check fails; the errors of `verifyFolder`. */
export async function assertVerified(folder: string, options: VerifyFolderOptions): Promise<void> {
  const failures = (await verifyFolder(folder, options)).checks.filter(hasFailed);
  if (failures.length === 0) return;
  throw targetAltered(failures.map(({ name, detail }) => `${name}: ${detail}`).join("; "));
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

/** The open target, or the check that it failed. */
async function openTarget(folder: string, signal: AbortSignal | undefined): Promise<Checkpoint | Check> {
  try {
    return await openCheckpoint(folder, pauseFor(signal));
  } catch (error) {
    return failure("weights", error);
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
