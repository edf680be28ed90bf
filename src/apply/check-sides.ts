/** Whether base and delta belong together, tensor by tensor, and which release the delta is. */

import { basename, resolve } from "node:path";
import { checkBase } from "../base-check/check-base.js";
import { configHints } from "../base-check/config-hints.js";
import type { BaseCheck } from "../base-check/documents.js";
import { baseAdvice, baseError } from "../base-check/judge-base.js";
import { baseSample } from "../base-check/sample-base.js";
import { sampleModels } from "../base-check/sample-models.js";
import { ApplyDeltaError } from "../errors.js";
import { type Checkpoint, configOf } from "../formats/open.js";
import { pauseFor } from "../interrupt.js";
import type { CompiledKernel } from "../kernel/select.js";
import { describeRelease, mergedReleaseHint } from "../llama/describe.js";
import type { ModelConfig, RecognizedRelease } from "../llama/documents.js";
import type { PromptStyle } from "../llama/prompt-templates.js";
import { recognizeRelease } from "../llama/recognize.js";
import { embeddingOf, LM_HEAD } from "../llama/tensor-names.js";
import { verifyDelta } from "../llama/verify-delta.js";
import { matchCheckpoints } from "../merge/match-checkpoints.js";
import type { MatchRules } from "../merge/options.js";
import type { WarningLog } from "../merge/warning-log.js";
import type { DType } from "../tensor.js";
import { sha256Files } from "../workers/sha256.js";
import type { ApplyDeltaOptions } from "./options.js";
import { localFilesOf, verifyBase } from "./verify-base.js";

/**
 * What becomes of every tensor, by which rules (with the tensors named that are replaced), the base check, and the delta's
 * release; null where the check was skipped, and where the delta isn't a known release.
 * Errors: those of `matchCheckpoints`; `swapped`, `not-a-delta`, `wrong-base` unless forced; `delta-altered`,
 * `base-altered`.
 */
export async function checkSides(
  base: Checkpoint,
  delta: Checkpoint,
  asked: MatchRules,
  kernel: CompiledKernel,
  options: ApplyDeltaOptions,
  log: WarningLog,
) {
  const { skipBaseCheck = false, force = false, signal } = options;
  const configs = { base: configOf(base), delta: configOf(delta) };
  if (options.verifyBase === true) await verifyBase(base, log, signal);
  const release = await recognize(delta, configs.delta, options, log);
  const hints = configHints(configs.base, configs.delta);
  const sample = (ofBase: Tensors, ofDelta: Tensors) =>
    sampleModels(
      baseSample,
      { ...base, tensors: ofBase },
      { ...delta, tensors: ofDelta },
      { kernel, reporter: log, signal },
    );
  const widths = [configs.delta, configs.base].flatMap(headWidthsOf);
  const baseCheck = skipBaseCheck ? null : await checkBase(base.tensors, delta.tensors, sample, widths);
  await pauseFor(signal)();
  const refusal = baseCheck === null || force ? null : baseError(baseCheck, [...hints, ...release.hints]);
  // Swapped sides explain names and shapes that differ; any other misfit is explained by them.
  if (refusal?.code === "swapped") throw refusal;
  const rules = { ...asked, replace: replacedBy(asked, delta.tensors, baseCheck) };
  const match = matchCheckpoints(base, delta, rules);
  if (refusal !== null) throw refusal;
  if (release.recognized !== null) log.note(`${describeRelease(release.recognized)}.`);
  if (baseCheck !== null) (baseCheck.isWarning ? log.warn : log.detail)(describeBaseCheck(baseCheck));
  if (baseCheck?.cause?.kind === "whole-values") describeWhole(baseCheck.cause.tensors, rules, log);
  const source = base.config === null ? " (config.json)" : "";
  for (const hint of hints) (baseCheck?.verdict === "exact" ? log.detail : log.warn)(`${hint}${source}.`);
  return { match, rules, baseCheck, release: release.recognized };
}

/** The tensors that the delta holds whole: as asked, or those that the base check recognises. Errors: `bad-usage`. */
function replacedBy({ replace }: MatchRules, tensors: Tensors, baseCheck: BaseCheck | null): string {
  if (replace === "none") return replace;
  if (replace !== "auto") {
    const names = new Set(tensors.map(({ name }) => name));
    const unknown = replace.split(",").find((name) => !names.has(name));
    if (unknown === undefined) return replace;
    throw new ApplyDeltaError("bad-usage", `The delta has no tensor ${unknown}.`, {
      got: `--replace ${replace}`,
      hint: `Give full names with commas between them, such as ${LM_HEAD}: \`inspect\` lists them.`,
    });
  }
  return baseCheck?.cause?.kind === "whole-values" ? baseCheck.cause.tensors.join() : "none";
}

function describeWhole(names: readonly string[], { replace }: MatchRules, log: WarningLog): void {
  const replaced = new Set(replace.split(","));
  const isAdded = names.some((name) => !replaced.has(name));
  const text = `the delta holds ${names.join(" and ")} whole, as large as the base's`;
  if (isAdded) log.warn(`${text}: their sum is not a model's. Leave out --replace ${replace}.`);
  else log.note(`${text}: they replace the base's.`);
}

type Tensors = Checkpoint["tensors"];

/** Widths of an attention head, as a config has them. */
function headWidthsOf(config: ModelConfig | null): number[] {
  const { hiddenSize = null, attentionHeads = null } = config ?? {};
  return hiddenSize === null || attentionHeads === null ? [] : [hiddenSize / attentionHeads];
}

function describeBaseCheck(baseCheck: BaseCheck): string {
  const advice = baseAdvice(baseCheck);
  return advice === null ? `${baseCheck.sentence}.` : `${baseCheck.sentence}. ${advice}`;
}

/**
 * Which release the delta is; with `verifyDelta`, proven by checksum. `hints`: what its name says where it turns out to be
 * no delta. Errors: `delta-altered`.
 */
async function recognize(
  delta: Checkpoint,
  config: ModelConfig | null,
  options: ApplyDeltaOptions,
  log: WarningLog,
) {
  const recognition = recognizeRelease({
    reference: options.delta,
    folder: resolve(delta.folder),
    config,
    embedShape: embeddingOf(delta.tensors)?.shape ?? null,
    shards: delta.files.map(({ path, byteLength }) => ({ file: basename(path), byteLength })),
    isDelta: true,
  });
  recognition.doubts.forEach(log.warn);
  const hint = mergedReleaseHint(recognition);
  let { recognized } = recognition;
  if (options.verifyDelta === true) {
    const files = localFilesOf(delta, "--verify-delta", "delta");
    const digests = await sha256Files(files, { signal: options.signal });
    const verification = verifyDelta(digests, recognized);
    (verification.verdict === "unknown" ? log.warn : log.note)(`${verification.sentence}.`);
    recognized = verification.recognized ?? recognized;
  }
  return { recognized, hints: hint === null ? [] : [hint] };
}

/** Errors: `bad-usage` where `auto` can't be told. */
export function chatTemplateStyle(
  asked: "auto" | PromptStyle | null,
  recognized: RecognizedRelease | null,
  dtype: DType | undefined,
  option: "--chat-template" | "--modelfile" = "--chat-template",
): PromptStyle | null {
  if (asked !== "auto") return asked;
  if (recognized !== null && recognized.sureness !== "possible") return recognized.release.prompt;
  // Of the models with v0's 32001 rows, those in float16 have its prompt (StableVicuna); Alpaca's are in float32.
  if (recognized?.release.version === "v0" && dtype === "F16") return "v0";
  throw new ApplyDeltaError("bad-usage", "Which prompt template the model needs can't be told.", {
    expected: "a delta whose release is known by its name or its checksums",
    hint: `Name it: ${option} v1.1, or ${option} v0 for the deltas with 32001 rows.`,
  });
}
