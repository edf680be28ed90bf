/** A GGUF as a target that is verified: its record, and what base and delta would make of it. */
import { readdirSync, statSync } from "node:fs";
import { basename } from "node:path";
import { EXIT, isApplyDeltaError } from "../errors.js";
import { onSource } from "../files/local-file.js";
import { chooseWeights } from "../formats/find-weights.js";
import { isGgufName, wholeGgufName } from "../formats/gguf/find-gguf.js";
import { readGgufKeys } from "../formats/gguf/keys.js";
import type { Checkpoint } from "../formats/open.js";
import type { Model } from "../hub/models.js";
import type { Pause } from "../interrupt.js";
import { ggufMetadata, openTokenizer } from "../llama/gguf/metadata.js";
import type { PromptStyle } from "../llama/prompt-templates.js";
import { dtypeOfFileType, layOutAsGguf } from "../merge/gguf-plan.js";
import type { MergePlan } from "../merge/merge-plan.js";
import { planFiles } from "../merge/plan-files.js";
import { silentReporter } from "../progress.js";
import { type GgufRecord, readGgufRecord } from "../target/gguf-record.js";
import type { TargetDType } from "../tensor.js";

export type Sources = Readonly<Record<"base" | "delta", Checkpoint>>;

export interface GgufTarget {
  /** Null where there is none that can be trusted. */
  readonly record: GgufRecord | null;
  /** By its own keys; null where they don't say. */
  readonly dtype: TargetDType | null;
  /** The model's name, if no record has it. */
  readonly name: string;
}

/** Whether the path is a GGUF, or a folder with nothing else to load. */
export function isGgufAt(path: string): boolean {
  if (!onSource(path, () => statSync(path)).isDirectory()) return isGgufName(basename(path));
  const names = onSource(path, () => readdirSync(path));
  return names.some(isGgufName) && chooseWeights(names, path) === null;
}

/** What is known of a GGUF before it is checked; of one that can't be opened, nothing. */
export async function openGguf(target: Model): Promise<GgufTarget> {
  const name = wholeGgufName(basename(target.path)).replace(/\.gguf$/, "");
  try {
    const { files } = await target.open();
    const [keys = []] = await readGgufKeys(files);
    const dtype = dtypeOfFileType(keys.find(({ key }) => key === "general.file_type")?.value);
    return { record: trusted(() => readGgufRecord(keys, target.path)), dtype, name };
  } catch (error) {
    if (isApplyDeltaError(error) && error.exitCode === EXIT.malformed)
      return { record: null, dtype: null, name };
    throw error;
  }
}

/** Null where there is no record that can be trusted. */
export function trusted<Found>(readRecord: () => Found): Found | null {
  try {
    return readRecord();
  } catch (error) {
    if (isApplyDeltaError(error, "record-malformed")) return null;
    throw error;
  }
}

/** `folder`: the plan of the folder that such a GGUF would be made of. */
export async function planGgufSum(
  folder: MergePlan,
  { base, delta }: Sources,
  { record, name }: GgufTarget,
  dtype: "auto" | TargetDType,
  pause: Pause,
): Promise<MergePlan> {
  const chatTemplate = (record?.chatTemplate ?? null) as PromptStyle | null;
  const planned = await planFiles(folder, delta, base, { chatTemplate, pause }, silentReporter);
  const { files, vocabulary } = planned;
  const tokenizer = await openTokenizer(files, pause, vocabulary);
  return layOutAsGguf(folder, {
    ...{ dtype, fileName: () => basename(name), maxShardBytes: null },
    describe: (facts) => ggufMetadata({ files, tokenizer, name: record?.name ?? name, ...facts }),
  });
}
