/** `llama.*`: the shape of the model. What config.json leaves out is as transformers' LlamaConfig has it. */
import { ApplyDeltaError } from "../../errors.js";
import type { ModelConfig } from "../documents.js";
import { DEFAULT_CONTEXT_TOKENS } from "../model-config.js";
import { f32, type KeyValue, string, u32 } from "./key-values.js";

/** transformers, `models/llama/configuration_llama.py`. */
const DEFAULTS = { ropeTheta: 10_000, rmsNormEps: 1e-6 };

/** Needed by every loader, and decided by nothing else. */
const NEEDED = {
  layers: "num_hidden_layers",
  hiddenSize: "hidden_size",
  intermediateSize: "intermediate_size",
  attentionHeads: "num_attention_heads",
  vocabSize: "vocab_size",
} as const;

/** `path` of config.json is only named. `fileType`: llama.cpp's number for it. Errors: `config-mismatch`, `foreign-architecture`. */
export function hyperparameters(config: ModelConfig, path: string, fileType: number): KeyValue[] {
  refuseOtherModels(config, path);
  const sizes = neededSizes(config, path);
  const headDim = config.headDim ?? Math.floor(sizes.hiddenSize / sizes.attentionHeads);
  return [
    u32("llama.block_count", sizes.layers),
    u32("llama.context_length", config.maxPositionEmbeddings ?? DEFAULT_CONTEXT_TOKENS),
    u32("llama.embedding_length", sizes.hiddenSize),
    u32("llama.feed_forward_length", sizes.intermediateSize),
    u32("llama.attention.head_count", sizes.attentionHeads),
    u32("llama.attention.head_count_kv", config.keyValueHeads ?? sizes.attentionHeads),
    ...ropeScaling(config, path),
    f32("llama.rope.freq_base", config.ropeTheta ?? DEFAULTS.ropeTheta),
    f32("llama.attention.layer_norm_rms_epsilon", config.rmsNormEps ?? DEFAULTS.rmsNormEps),
    u32("llama.attention.key_length", headDim),
    u32("llama.attention.value_length", headDim),
    u32("general.file_type", fileType),
    u32("llama.vocab_size", sizes.vocabSize),
    u32("llama.rope.dimension_count", headDim),
  ];
}

function refuseOtherModels({ architectures, modelType }: ModelConfig, path: string): void {
  const [architecture = modelType === "llama" ? "LlamaForCausalLM" : null] = architectures;
  if (architecture === "LlamaForCausalLM") return;
  throw new ApplyDeltaError("foreign-architecture", "GGUF is written for LLaMA's architecture only.", {
    file: path,
    expected: "LlamaForCausalLM",
    got: architecture ?? "no architecture",
    hint: "Merge to safetensors, and convert the result with convert_hf_to_gguf.py of llama.cpp.",
  });
}

function neededSizes(config: ModelConfig, path: string): Record<keyof typeof NEEDED, number> {
  const entries = Object.entries(NEEDED).map(([name, key]) => {
    const value = config[name as keyof typeof NEEDED];
    if (value !== null) return [name, value];
    throw new ApplyDeltaError("config-mismatch", `config.json has no ${key}.`, {
      file: path,
      hint: "Copy config.json from where the delta was released.",
    });
  });
  return Object.fromEntries(entries);
}

/** Beyond its context llama.cpp scales only where it is told to; `dynamic` changes nothing within it. */
function ropeScaling({ ropeScaling }: ModelConfig, path: string): KeyValue[] {
  const { type = null, factor = null } = ropeScaling ?? {};
  if (type === null || type === "default" || type === "dynamic") return [];
  if (type === "linear" && factor !== null) {
    return [string("llama.rope.scaling.type", type), f32("llama.rope.scaling.factor", factor)];
  }
  const message = `GGUF can't be written for a model with ${type} scaling of positions.`;
  throw new ApplyDeltaError("config-mismatch", message, {
    file: path,
    expected: "rope_scaling of type linear with a factor, or none",
    got: `${type}${factor === null ? "" : `, factor ${factor}`}`,
    hint: "Merge to safetensors, and convert the result with convert_hf_to_gguf.py of llama.cpp.",
  });
}
