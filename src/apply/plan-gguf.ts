/** A merge whose target is a GGUF: the plan of the folder that llama.cpp's converter would be given, converted. */
import { basename } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import type { Pause } from "../interrupt.js";
import { type Asset, readAsset } from "../llama/assets.js";
import { CONFIG, MODEL_CARD } from "../llama/file-names.js";
import { ggufMetadata, openTokenizer, tokenizerWarning } from "../llama/gguf/metadata.js";
import { contextTokensOf, DEFAULT_CONTEXT_TOKENS, parseModelConfig } from "../llama/model-config.js";
import { modelfile } from "../llama/modelfile.js";
import type { PromptStyle } from "../llama/prompt-templates.js";
import { layOutAsGguf } from "../merge/gguf-plan.js";
import type { MergePlan } from "../merge/merge-plan.js";
import type { PlannedFiles } from "../merge/plan-files.js";
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
  /** The prompt of the Modelfile beside it; null for none. */
  readonly prompt: PromptStyle | null;
  readonly record: MergeRecord;
}

/** `planned`: what the folder would hold beside its weights. Errors: those of `ggufMetadata` and `layOutAsGguf`. */
export async function planGguf(folder: MergePlan, planned: PlannedFiles, made: GgufTarget, pause: Pause) {
  const { files: assets, vocabulary } = planned;
  const { target, kind, dtype = "auto", maxShardBytes = null, chatTemplate, prompt, record } = made;
  const tokenizer = await openTokenizer(assets, pause, vocabulary);
  const { name, fileName } = ggufNames(target, kind);
  const plan = layOutAsGguf(folder, {
    ...{ dtype, fileName, maxShardBytes },
    describe: (facts) => ggufMetadata({ files: assets, tokenizer, name, ...facts }),
    more: [ggufRecordEntry(record, { name, chatTemplate })],
  });
  const ofOllama =
    prompt === null ? [] : [planModelfile(plan, assets, prompt, kind.isFile ? `${name}.` : "")];
  // All else stands in the GGUF.
  const card = kind.isFile ? [] : assets.filter((asset) => asset.fileName === MODEL_CARD);
  const warning = tokenizerWarning(tokenizer);
  return { plan, files: [...card, ...ofOllama], warnings: warning === null ? [] : [warning] };
}

/** Errors: `bad-usage` where the GGUF comes in parts. */
function planModelfile(
  { shards }: MergePlan,
  assets: readonly Asset[],
  style: PromptStyle,
  prefix: string,
): Asset {
  const [shard] = shards;
  if (shard === undefined || shards.length > 1) {
    throw new ApplyDeltaError("bad-usage", "Ollama reads a GGUF in one file only.", {
      got: `--modelfile, and ${shards.length} files by --max-shard-size`,
      hint: "Leave one of the two options out.",
    });
  }
  const config = readAsset(assets, CONFIG);
  const context = config === null ? null : contextTokensOf(parseModelConfig(config));
  const contextTokens = context ?? DEFAULT_CONTEXT_TOKENS;
  return { fileName: `${prefix}Modelfile`, text: modelfile(shard.fileName, style, contextTokens) };
}

/** The name of a target's checksums. */
export function checksumsOf(target: string, { isFile }: TargetKind): string {
  return isFile ? `${basename(target)}.sha256` : CHECKSUMS;
}
