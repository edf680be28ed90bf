import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { readAssetText } from "../files/small-file.js";
import type { Asset } from "../llama/assets.js";
import { CONFIG } from "../llama/file-names.js";
import { parseModelConfig } from "../llama/model-config.js";
import { LM_HEAD } from "../llama/tensor-names.js";
import type { MergePlan } from "../merge/merge-plan.js";
import { configFaults } from "../verify/check-structure.js";
import { listed } from "../verify/outcome.js";

/** Refuses a target whose config.json `verify` would fail. Errors: `config-mismatch`, `bad-json`. */
export function refuseMisfit({ tensors }: MergePlan, files: readonly Asset[], folder: string): void {
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
