import type { Checkpoint } from "../formats/open.js";
import { indexFileName } from "../formats/table.js";
import { type Asset, type AssetOptions, planAssets, type VocabularyFile } from "../llama/assets.js";
import { embeddingOf } from "../llama/tensor-names.js";
import type { Reporter } from "../progress.js";
import { TORCH_NAMES } from "../tensor.js";
import { type MergePlan, mainDType } from "./merge-plan.js";

export interface PlannedFiles {
  readonly files: Asset[];
  /** Null where the target has no vocabulary. */
  readonly vocabulary: VocabularyFile | null;
}

/**
 * The files beside the weights, in the order in which they are written. `source` is the side that config and tokenizer
 * come from; what is to be said of them goes to the reporter. The index is the last: transformers takes a folder with
 * an index for a whole model.
 */
export async function planFiles(
  plan: MergePlan,
  source: Checkpoint,
  base: Checkpoint,
  options: AssetOptions & { readonly card?: Asset },
  reporter: Reporter,
): Promise<PlannedFiles> {
  const rows = embeddingOf(plan.tensors)?.shape[0] ?? null;
  const rowsOfSource = embeddingOf(source.tensors)?.shape[0] ?? rows ?? 0;
  const facts = {
    rows,
    trimmedRows: rowsOfSource - (rows ?? rowsOfSource),
    torchDType: TORCH_NAMES[mainDType(plan)],
    tensors: plan.tensors,
  };
  const { files, notes, warnings, vocabulary } = await planAssets(source.folder, base.folder, facts, options);
  for (const text of notes) reporter.note(text);
  for (const text of warnings) reporter.warn(text);
  const { card } = options;
  const index =
    plan.index === null || plan.format === "gguf"
      ? []
      : [{ fileName: indexFileName(plan.format), text: plan.index }];
  return { files: [...files, ...(card === undefined ? [] : [card]), ...index], vocabulary };
}
