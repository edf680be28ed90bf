/**
 * In: a LLaMA's config. Out: the tensors it must have, with their shapes, or null where the config doesn't say enough.
 * The names and shapes are those of transformers' `LlamaForCausalLM` (models/llama/modeling_llama.py).
 */

import type { ModelConfig } from "./model-config.js";
import { EMBEDDING, LM_HEAD } from "./tensor-names.js";

/** Shapes by name. `lm_head.weight` is among them unless it is tied to the embedding. */
export function expectedTensors(config: ModelConfig): ReadonlyMap<string, readonly number[]> | null {
  const { hiddenSize, intermediateSize, layers, attentionHeads, keyValueHeads, vocabSize } = config;
  if (!config.architectures.includes("LlamaForCausalLM")) return null;
  if (hiddenSize === null || intermediateSize === null || layers === null || vocabSize === null) return null;
  if (attentionHeads === null || keyValueHeads === null) return null;
  const headDim = config.headDim ?? Math.floor(hiddenSize / attentionHeads);
  const ofLayer: readonly [string, readonly number[]][] = [
    ["self_attn.q_proj", [attentionHeads * headDim, hiddenSize]],
    ["self_attn.k_proj", [keyValueHeads * headDim, hiddenSize]],
    ["self_attn.v_proj", [keyValueHeads * headDim, hiddenSize]],
    ["self_attn.o_proj", [hiddenSize, attentionHeads * headDim]],
    ["mlp.gate_proj", [intermediateSize, hiddenSize]],
    ["mlp.up_proj", [intermediateSize, hiddenSize]],
    ["mlp.down_proj", [hiddenSize, intermediateSize]],
    ["input_layernorm", [hiddenSize]],
    ["post_attention_layernorm", [hiddenSize]],
  ];
  const shapes = new Map<string, readonly number[]>([[EMBEDDING, [vocabSize, hiddenSize]]]);
  // A damaged config may say any number of layers; more than this no model has.
  for (let layer = 0; layer < Math.min(layers, MOST_LAYERS); layer++) {
    for (const [part, shape] of ofLayer) shapes.set(`model.layers.${layer}.${part}.weight`, shape);
  }
  shapes.set("model.norm.weight", [hiddenSize]);
  if (!config.tieWordEmbeddings) shapes.set(LM_HEAD, [vocabSize, hiddenSize]);
  return shapes;
}

const MOST_LAYERS = 10_000;
