import type { LayoutDocument } from "./documents.js";
import { countActions, type MergePlan } from "./merge-plan.js";

/** The part of anything prepared that a dry run shows. */
export interface PlannedOutput {
  readonly plan: MergePlan;
  readonly freeBytes: number;
  readonly files: readonly { readonly fileName: string }[];
  /** Names of the files that record what was made, written after the others. */
  readonly records: readonly string[];
}

/** What any plan's document says of tensors, files and sizes. */
export function layoutDocument({ plan, freeBytes, files, records }: PlannedOutput): LayoutDocument {
  return {
    tensors: countActions(plan),
    shards: plan.shards.map(({ fileName, byteLength, placed }) => ({
      file: fileName,
      bytes: byteLength,
      tensors: placed.length,
    })),
    files: [...files.map(({ fileName }) => fileName), ...records],
    parameters: plan.parameterCount,
    bytesToRead: plan.bytesToRead,
    bytesToWrite: plan.bytesToWrite,
    freeBytes,
  };
}
