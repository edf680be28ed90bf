import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { readAssetBytes, readAssetText } from "../files/small-file.js";
import type { Asset } from "../llama/assets.js";
import { CONFIG, TOKENIZER_MODEL } from "../llama/file-names.js";
import { parseModelConfig } from "../llama/model-config.js";
import { embeddingOf, LM_HEAD } from "../llama/tensor-names.js";
import { vocabularyOfModel } from "../llama/tokenizer-files.js";
import type { MergePlan } from "../merge/merge-plan.js";
import { configFaults } from "../verify/check-structure.js";
import { listed } from "../verify/outcome.js";

/** Refuses a target whose config.json `verify` would fail. Errors: `config-mismatch`, `bad-json`. */
export function refuseMisfit({ tensors }: MergePlan, files: readonly Asset[], folder: string): void {
  refuseMoreTokens(files, embeddingOf(tensors)?.shape[0] ?? null);
  const asset = files.find(({ fileName }) => fileName === CONFIG);
  if (asset === undefined) return;
  const file =
    "text" in asset ? { path: join(folder, CONFIG), text: asset.text } : readAssetText(asset.copyFrom);
  const config = parseModelConfig(file);
  const faults = configFaults(config, tensors);
  if (faults.length === 0) return;
  const lacksHead = !config.tieWordEmbeddings && faults[0]?.startsWith(LM_HEAD) === true;
  throw new ApplyDeltaError("config-mismatch", "config.json does not fit the tensors of the target.", {
    file: file.path,
    got: listed(faults),
    hint: lacksHead
      ? 'If the model ties its head to its embedding, write "tie_word_embeddings": true into config.json; otherwise a shard is missing.'
      : "Copy config.json from where the delta was released, or correct it.",
  });
}

/** A token without a row ends a loader's run as soon as it occurs. */
function refuseMoreTokens(files: readonly Asset[], rows: number | null): void {
  const model = files.find(({ fileName }) => fileName === TOKENIZER_MODEL);
  if (model === undefined || !("copyFrom" in model) || rows === null) return;
  const pieces = vocabularyOfModel(readAssetBytes(model.copyFrom), model.copyFrom)?.size ?? 0;
  if (pieces <= rows) return;
  throw new ApplyDeltaError("config-mismatch", "The tokenizer has more tokens than the model has rows.", {
    file: model.copyFrom,
    expected: `at most ${rows} tokens`,
    got: `${pieces}`,
    hint: "It belongs to another version: copy the tokenizer's files from where the delta was released.",
  });
}
