/**
 * Verifying, step by step: resolve, open, read the record, plan the sum again, check. A target that is wrong is a
 * result; only sources that can't be read or don't fit are errors.
 */
import { statSync } from "node:fs";
import { ApplyDeltaError } from "../errors.js";
import { type Model, readRequest, withModels } from "../hub/models.js";
import { describeInterruption, pauseFor } from "../interrupt.js";
import { compileKernel } from "../kernel/select.js";
import type { MatchedTensor } from "../merge/match.js";
import { matchCheckpoints } from "../merge/match-checkpoints.js";
import { layOut, type MergePlan } from "../merge/merge-plan.js";
import { openDelta, openSide } from "../merge/open-side.js";
import { matchRules } from "../merge/options.js";
import { PROVENANCE, type Provenance, readProvenance, recordWeights } from "../target/provenance.js";
import { isFloatDType, isQuantizedDType } from "../tensor.js";
import type { Verification } from "./documents.js";
import { type GgufTarget, isGgufAt, openGguf, planGgufSum, type Sources, trusted } from "./gguf-target.js";
import type { VerifyOptions } from "./options.js";
import { verifyFolder } from "./verify-folder.js";

export { type VerifyOptions, verifyOptions } from "./options.js";

/**
 * Errors: `source-not-found`, `source-unreadable`, `bad-usage`, `interrupted`; with sources, those of opening and
 * matching them.
 */
export async function verifyTarget(options: VerifyOptions): Promise<Verification> {
  const { hub, reporter, signal, sources: given } = options;
  const requests = [readRequest({ role: "model", reference: options.target, withAllFiles: true })];
  if (given !== undefined) {
    requests.push(readRequest({ role: "base", reference: given.base }));
    requests.push(readRequest({ role: "delta", reference: given.delta }));
  }
  return describeInterruption("the target was not verified to the end", () =>
    withModels(
      requests,
      { hub: { ...hub, stream: hub?.stream ?? true }, reporter, signal },
      async (target, base, delta) => {
        const path = modelPath(target as Model);
        const sources =
          base === undefined || delta === undefined
            ? null
            : { base: await openSide(base, delta), delta: await openDelta(delta) };
        const gguf = isGgufAt(path) ? await openGguf(target as Model) : null;
        const record = gguf?.record ?? (gguf === null ? trusted(() => readProvenance(path)) : null);
        const notes = sources === null ? [] : await compareSources(sources, record);
        const found = await verifyFolder(path, {
          plan: sources === null ? null : await planSum(sources, record, gguf, options),
          remote: (target as Model).remote,
          kernel: await compileKernel(options.kernel ?? "auto", reporter),
          ...{ sources: { ...sources }, threads: options.threads, reporter, signal },
        });
        return { ...found, target: options.target, notes: [...found.notes, ...notes] };
      },
    ),
  );
}

/** Errors: `bad-usage` where it is a file but no GGUF. */
function modelPath({ path }: Model): string {
  if (statSync(path).isDirectory() || isGgufAt(path)) return path;
  throw new ApplyDeltaError("bad-usage", "This is a file; a model's folder is verified whole.", {
    file: path,
    hint: "Give the folder it lies in.",
  });
}

/** What a folder's record and a GGUF's both say. */
type TargetRecord = Pick<Provenance, "rules" | "dtype" | "scale" | "base" | "delta">;

/** The plan of the merge, as the options, the record or the defaults have it. Shards don't matter to it. */
async function planSum(
  { base, delta }: Sources,
  record: TargetRecord | null,
  gguf: GgufTarget | null,
  options: VerifyOptions,
): Promise<MergePlan> {
  const rules = matchRules.parse({ ...record?.rules, ...options.rules });
  const match = matchCheckpoints(base, delta, rules);
  const dtype = options.dtype ?? record?.dtype ?? gguf?.dtype ?? "auto";
  const isQuantized = dtype !== "auto" && isQuantizedDType(dtype);
  if (gguf === null && isQuantized) {
    throw new ApplyDeltaError("bad-usage", `Only a GGUF can be of ${dtype.toLowerCase()}.`, {
      hint: "Leave the dtype out: the target's record has it.",
    });
  }
  const folder = layOut(match, {
    dtype: gguf === null && !isQuantized ? dtype : "auto",
    scale: options.scale ?? record?.scale ?? 1,
    // One of them can hold tensors of any name, the other of any dtype.
    format: match.tensors.every(isOfFloats) ? "bin" : "safetensors",
  });
  return gguf === null ? folder : planGgufSum(folder, { base, delta }, gguf, dtype, pauseFor(options.signal));
}

function isOfFloats({ base, delta }: MatchedTensor): boolean {
  const view = delta ?? base;
  return view !== null && isFloatDType(view.dtype);
}

/** What differs from the files on record: no fault, since another conversion may hold the same numbers. */
async function compareSources(sources: Sources, record: TargetRecord | null): Promise<string[]> {
  if (record === null)
    return [`${PROVENANCE} is not there or not as it was written: the sum follows the options`];
  const notes: string[] = [];
  for (const role of ["base", "delta"] as const) {
    const given = JSON.stringify(await recordWeights(sources[role]));
    if (given === JSON.stringify(record[role].files)) continue;
    notes.push(
      `the ${role} isn't, file for file, the one on record (${record[role].reference}): only its numbers are compared`,
    );
  }
  return notes;
}
