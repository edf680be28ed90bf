/**
 * Every check of a folder that should hold a whole model. `verify` and a merge's own `--verify` make the same ones, so
 * that one never passes what the other refuses. What is wrong with the target is a failed check; only a system that
 * can't read is an error.
 */
import { statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type ApplyDeltaError, EXIT, isApplyDeltaError } from "../errors.js";
import { onSource } from "../files/local-file.js";
import { wholeGgufName } from "../formats/gguf/find-gguf.js";
import { readGgufKeys } from "../formats/gguf/keys.js";
import { type Checkpoint, openCheckpoint, type RemoteWeights } from "../formats/open.js";
import { type Pause, pauseFor } from "../interrupt.js";
import type { CompiledKernel } from "../kernel/select.js";
import type { MergePlan } from "../merge/merge-plan.js";
import type { WorkOptions } from "../options.js";
import { silentReporter } from "../progress.js";
import { readProvenance, targetAltered } from "../target/provenance.js";
import { CHECKSUMS } from "../target/sha256sums.js";
import { defaultThreads } from "../workers/pool.js";
import { checkChecksums, checkRecord, type TargetPlace } from "./check-files.js";
import { checkGgufRecord, checkKeys, checkParts, checkTokens } from "./check-gguf.js";
import { checkNumbers } from "./check-numbers.js";
import { checkConfig, checkIndex, checkTokenizer, checkWeights } from "./check-structure.js";
import type { Check, CheckName, Verification } from "./documents.js";
import { failed, skipped } from "./outcome.js";

interface VerifyFolderOptions extends WorkOptions {
  /** What base and delta give; null where they weren't given. */
  readonly plan: MergePlan | null;
  /** The checkpoints that the plan's tensors lie in. */
  readonly sources: Readonly<Record<string, Checkpoint>>;
  readonly remote?: RemoteWeights | null;
  readonly kernel: CompiledKernel;
  readonly threads?: number | undefined;
}

/**
 * `path`: a model's folder, or a GGUF. Errors: `source-not-found`, `source-unreadable`, `interrupted`.
 */
export async function verifyFolder(path: string, options: VerifyFolderOptions): Promise<Verification> {
  const { plan, sources, remote = null, kernel, reporter = silentReporter, signal } = options;
  const opened = await attempt("weights", () => openCheckpoint(path, { pause: pauseFor(signal), remote }));
  const target = "tensors" in opened ? opened : null;
  const models = [...Object.values(sources), ...(target === null ? [] : [target])];
  const { threads = defaultThreads(models) } = options;
  const isFile = onSource(path, () => statSync(path)).isFile();
  const [folder, checksums] = isFile
    ? [dirname(path), `${wholeGgufName(basename(path))}.sha256`]
    : [path, CHECKSUMS];
  const isGguf = target?.formats.includes("gguf") ?? isFile;
  try {
    const checks = [
      ...(target === null ? [opened as Check] : []),
      ...(isGguf
        ? await checkGguf(target, path, plan)
        : await checkFolder(target, { folder, remote }, pauseFor(signal))),
      await attempt("checksums", () =>
        checkChecksums(
          { folder, remote },
          {
            ...{ threads, signal, fromDisk: true },
            onProgress: (progress) =>
              reporter.progress({ activity: "verifying checksums", ...progress, current: checksums }),
          },
          checksums,
        ),
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
      target: path,
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

const unreadable = (name: CheckName) => skipped(name, "the weights can't be opened");

async function checkFolder(target: Checkpoint | null, place: TargetPlace, pause: Pause): Promise<Check[]> {
  const record = () => attempt("record", () => checkRecord(place, readProvenance(place.folder), target));
  if (target === null)
    return [unreadable("index"), unreadable("config"), unreadable("tokenizer"), await record()];
  return [
    checkWeights(target),
    await attempt("index", () => checkIndex(target)),
    await attempt("config", () => checkConfig(target)),
    await attempt("tokenizer", () => checkTokenizer(target, pause)),
    await record(),
  ];
}

/** The same of a GGUF, which has everything inside. */
async function checkGguf(target: Checkpoint | null, path: string, plan: MergePlan | null): Promise<Check[]> {
  if (target === null) return [unreadable("config"), unreadable("tokenizer"), unreadable("record")];
  const parts = await readGgufKeys(target.files);
  return [
    checkParts(target, parts),
    checkKeys(target, parts),
    checkTokens(target, parts),
    await attempt("record", () => checkGgufRecord(path, parts, plan?.keys ?? null)),
  ];
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
  const facts = Object.entries({ expected, got }).filter(([, fact]) => fact !== undefined);
  const ofFacts = facts.map((fact) => fact.join(" ")).join(", ");
  return [basename(file ?? ""), tensor, message.replace(/\.$/, ""), ofFacts].filter(Boolean).join(": ");
}
