/** A merge whose target is a GGUF: the plan of the folder that llama.cpp's converter would be given, converted. */
import { basename } from "node:path";
import type { Asset } from "../llama/assets.js";
import { MODEL_CARD } from "../llama/file-names.js";
import { ggufMetadata } from "../llama/gguf/metadata.js";
import { layOutAsGguf } from "../merge/gguf-plan.js";
import type { MergePlan } from "../merge/merge-plan.js";
import { type GgufNaming, ggufRecordEntry } from "../target/gguf-record.js";
import type { MergeRecord } from "../target/provenance.js";
import { CHECKSUMS } from "../target/sha256sums.js";
import type { TargetDType } from "../tensor.js";
import { ggufNames, type TargetKind } from "./target-kind.js";

export interface GgufTarget {
  readonly target: string;
  readonly kind: TargetKind;
  readonly dtype?: "auto" | TargetDType | undefined;
  readonly maxShardBytes?: number | undefined;
  readonly chatTemplate: GgufNaming["chatTemplate"];
  readonly record: MergeRecord;
}

/** `assets`: what the folder would hold beside its weights. Errors: those of `ggufMetadata` and `layOutAsGguf`. */
export function planGguf(folder: MergePlan, assets: readonly Asset[], made: GgufTarget) {
  const { target, kind, dtype = "auto", maxShardBytes = null, chatTemplate, record } = made;
  const { name, fileName } = ggufNames(target, kind);
  const plan = layOutAsGguf(folder, {
    ...{ dtype, fileName, maxShardBytes },
    describe: (facts) => ggufMetadata({ files: assets, name, ...facts }),
    more: [ggufRecordEntry(record, { name, chatTemplate })],
  });
  // All else stands in the GGUF.
  const files = kind.isFile ? [] : assets.filter((asset) => asset.fileName === MODEL_CARD);
  return { plan, files };
}

/** The name of a target's checksums. */
export function checksumsOf(target: string, { isFile }: TargetKind): string {
  return isFile ? `${basename(target)}.sha256` : CHECKSUMS;
}
