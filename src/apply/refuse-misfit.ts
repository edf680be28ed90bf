import { ApplyDeltaError } from "../errors.js";
import { JsonDraft } from "../files/json-draft.js";
import { readAssetBytes } from "../files/small-file.js";
import { type Asset, readAsset } from "../llama/assets.js";
import { CONFIG, TOKENIZER_MODEL } from "../llama/file-names.js";
import { parseModelConfig } from "../llama/model-config.js";
import { embeddingOf, LM_HEAD } from "../llama/tensor-names.js";
import { tokenizerJsonSchema, vocabularyOfJson, vocabularyOfModel } from "../llama/tokenizer-files.js";
import type { MergePlan } from "../merge/merge-plan.js";
import { configFaults } from "../verify/check-structure.js";
import { listed } from "../verify/outcome.js";

/** Refuses a target whose config.json or tokenizer `verify` would fail. Errors: `config-mismatch`, `bad-json`. */
export function refuseMisfit({ tensors }: MergePlan, files: readonly Asset[]): void {
  refuseMoreTokens(files, embeddingOf(tensors)?.shape[0] ?? null);
  const file = readAsset(files, CONFIG);
  if (file === null) return;
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
  const { path, size } = vocabularyOf(files);
  if (rows === null || size <= rows) return;
  throw new ApplyDeltaError("config-mismatch", "The tokenizer has more tokens than the model has rows.", {
    file: path,
    expected: `at most ${rows} tokens`,
    got: `${size}`,
    hint: "It belongs to another version: copy the tokenizer's files from where the delta was released.",
  });
}

function vocabularyOf(files: readonly Asset[]): { readonly path: string; readonly size: number } {
  const model = files.find(({ fileName }) => fileName === TOKENIZER_MODEL);
  const path = model !== undefined && "copyFrom" in model ? model.copyFrom : "";
  const pieces = path === "" ? null : vocabularyOfModel(readAssetBytes(path), path);
  if (pieces !== null) return { path, size: pieces.size };
  const json = readAsset(files, "tokenizer.json");
  if (json === null) return { path, size: 0 };
  return { path: json.path, size: vocabularyOfJson(new JsonDraft(json, tokenizerJsonSchema).value).size };
}
