/**
 * Every check of a folder that should hold a whole model. `verify` and a merge's own `--verify` make the same ones, so
 * that one never passes what the other refuses. What is wrong with the target is a failed check; only a system that
 * can't read is an error.
 */
import { basename } from "node:path";
import { type ApplyDeltaError, EXIT, isApplyDeltaError } from "../errors.js";
import { type Checkpoint, openCheckpoint } from "../formats/open.js";
import { pauseFor } from "../interrupt.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { MergePlan } from "../merge/merge-plan.js";
import { type Reporter, silentReporter } from "../progress.js";
import { readProvenance, targetAltered } from "../target/provenance.js";
import { CHECKSUMS } from "../target/sha256sums.js";
import { checkChecksums, checkRecord } from "./check-files.js";
import { checkNumbers } from "./check-numbers.js";
import { checkConfig, checkIndex, checkTokenizer, checkWeights } from "./check-structure.js";
import type { Check, CheckName, Verification } from "./documents.js";
import { failed, skipped } from "./outcome.js";

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
  const opened = await attempt("weights", () => openCheckpoint(folder, { pause: pauseFor(signal) }));
  const target = "tensors" in opened ? opened : null;
  const unreadable = (name: CheckName) => skipped(name, "the weights can't be opened");
  const checkTarget = (name: CheckName, check: (target: Checkpoint) => Check | Promise<Check>) =>
    target === null ? unreadable(name) : attempt(name, () => check(target));
  try {
    const checks = [
      "tensors" in opened ? checkWeights(opened) : opened,
      await checkTarget("index", checkIndex),
      await checkTarget("config", checkConfig),
      await checkTarget("tokenizer", checkTokenizer),
      await attempt("record", () => checkRecord(folder, readProvenance(folder), target)),
      await attempt("checksums", () =>
        checkChecksums(folder, {
          ...{ threads, signal, fromDisk: true },
          onProgress: (progress) =>
            reporter.progress({ activity: "verifying checksums", ...progress, current: CHECKSUMS }),
        }),
      ),
      ...(target === null
        ? [unreadable("numbers"), unreadable("sum")]
        : await checkNumbers(target, {
            ...{ plan, kernel, threads, signal },
            onProgress: (bytesDone, bytesTotal) =>
              reporter.progress({ activity: "verifying", bytesDone, bytesTotal, current: "weights" }),
          })),
    ];
    const proves = ({ name, status }: Check) => status === "ok" && (name === "checksums" || name === "sum");
    return {
      target: folder,
      verdict: checks.some(hasFailed) ? "failed" : "ok",
      checks,
      weightsProven: checks.some(proves),
      notes: target?.notes ?? [],
    };
  } finally {
    target?.close();
    reporter.progressDone();
  }
}

/** Throws `target-altered` where a check fails; the errors of `verifyFolder`. */
export async function assertVerified(folder: string, options: VerifyFolderOptions): Promise<void> {
  const failures = (await verifyFolder(folder, options)).checks.filter(hasFailed);
  if (failures.length === 0) return;
  throw targetAltered(failures.map(({ name, detail }) => `${name}: ${detail}`).join("; "));
}

function hasFailed({ status }: Check): boolean {
  return status === "failed";
}

/** What `action` gives, or a failed check where the error is about what the target holds. */
async function attempt<T>(name: CheckName, action: () => T | Promise<T>): Promise<T | Check> {
  try {
    return await action();
  } catch (error) {
    const isFault =
      isApplyDeltaError(error) && [EXIT.malformed, EXIT.verification].some((exit) => exit === error.exitCode);
    if (!isFault) throw error;
    return failed(name, [describeError(error)]);
  }
}

/** On one line: `config.json: …: expected …, got …`. */
function describeError({ message, details }: ApplyDeltaError): string {
  const { file, tensor, expected, got } = details;
  const facts = [expected === undefined ? "" : `expected ${expected}`, got === undefined ? "" : `got ${got}`];
  const parts = [
    basename(file ?? ""),
    tensor ?? "",
    message.replace(/\.$/, ""),
    facts.filter((fact) => fact !== "").join(", "),
  ];
  return parts.filter((part) => part !== "").join(": ");
}
