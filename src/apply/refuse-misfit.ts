import { ApplyDeltaError } from "../errors.js";
import { readAsset, type VocabularyFile } from "../llama/assets.js";
import { CONFIG } from "../llama/file-names.js";
import { parseModelConfig } from "../llama/model-config.js";
import { embeddingOf, LM_HEAD } from "../llama/tensor-names.js";
import type { MergePlan } from "../merge/merge-plan.js";
import type { PlannedFiles } from "../merge/plan-files.js";
import { configFaults } from "../verify/check-structure.js";
import { listFaults } from "../verify/outcome.js";

/** Refuses a target whose config.json or tokenizer `verify` would fail. Errors: `config-mismatch`, `bad-json`. */
export function refuseMisfit({ tensors }: MergePlan, { files, vocabulary }: PlannedFiles): void {
  if (vocabulary !== null) refuseMoreTokens(vocabulary, embeddingOf(tensors)?.shape[0] ?? null);
  const file = readAsset(files, CONFIG);
  if (file === null) return;
  const config = parseModelConfig(file);
  const faults = configFaults(config, tensors);
  if (faults.length === 0) return;
  const lacksHead = !config.tieWordEmbeddings && faults[0]?.startsWith(LM_HEAD) === true;
  throw new ApplyDeltaError("config-mismatch", "config.json does not fit the tensors of the target.", {
    file: file.path,
    got: listFaults(faults),
    hint: lacksHead
      ? 'If the model ties its head to its embedding, write "tie_word_embeddings": true into config.json; otherwise a shard is missing.'
      : "Copy config.json from where the delta was released, or correct it.",
  });
}

/** A token without a row ends a loader's run as soon as it occurs. */
function refuseMoreTokens({ path, size }: VocabularyFile, rows: number | null): void {
  if (rows === null || size <= rows) return;
  throw new ApplyDeltaError("config-mismatch", "The tokenizer has more tokens than the model has rows.", {
    file: path,
    expected: `at most ${rows} tokens`,
    got: `${size}`,
    hint: "It belongs to another version: copy the tokenizer's files from where the delta was released.",
  });
}
