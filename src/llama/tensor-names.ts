/** The tensors of a LLaMA as transformers has them (models/llama/modeling_llama.py): names, order and shapes. */
import type { ModelConfig } from "./documents.js";

/** One row for each token of the vocabulary. */
export const EMBEDDING = "model.embed_tokens.weight";

/** One row for each token, too, unless it is tied to the embedding. */
export const LM_HEAD = "lm_head.weight";

/** Modules of a decoder layer in order of registration. */
const LAYER_MODULES = [
  "self_attn.q_proj",
  "self_attn.k_proj",
  "self_attn.v_proj",
  "self_attn.o_proj",
  "self_attn.rotary_emb",
  "mlp.gate_proj",
  "mlp.up_proj",
  "mlp.down_proj",
  "input_layernorm",
  "post_attention_layernorm",
] as const;

const MODULES = ["model.embed_tokens", "model.layers", "model.norm", "model.mm_projector", "lm_head"];

const PARAMETERS = ["weight", "bias"];

/** Whether a buffer of the position encoding: computed, not trained, and ignored by every loader. */
export function isRotaryBuffer(name: string): boolean {
  return /(?:^|\.)rotary_emb\.inv_freq$/.test(name);
}

/** Whether of LLaVA's projector from the vision tower, which no LLaMA has. */
export function isLlavaProjector(name: string): boolean {
  return name.startsWith("model.mm_projector.");
}

/** The embedding among a model's tensors. */
export function embeddingOf<T extends { readonly name: string }>(tensors: readonly T[]): T | undefined {
  return tensors.find(({ name }) => name === EMBEDDING);
}

/** The number of a tensor's decoder layer; null for a tensor outside the layers. */
export function layerOf(name: string): number | null {
  const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
  return layer === undefined ? null : Number(layer);
}

/**
 * Sorts LLaMA's tensors into state-dict order, in which `save_pretrained` fills shards. A safetensors file doesn't
 * record it: it sorts its tensors. Tensors whose names are not LLaMA's keep their order behind the others.
 */
export function inStateDictOrder<T extends { readonly name: string }>(tensors: readonly T[]): T[] {
  return tensors
    .map((tensor) => ({ tensor, rank: rankOf(tensor.name) }))
    .sort((a, b) => compareRanks(a.rank, b.rank))
    .map(({ tensor }) => tensor);
}

/** Place in the model, layer, place in the layer, parameter. */
function rankOf(name: string): number[] {
  const dot = Math.max(name.lastIndexOf("."), 0);
  const moduleName = name.slice(0, dot);
  const parameter = placeIn(PARAMETERS, name.slice(dot + 1));
  const layer = layerOf(name);
  if (layer === null) {
    const place = placeIn(MODULES, moduleName);
    return [place, 0, 0, place < MODULES.length ? parameter : 0];
  }
  const place = placeIn(LAYER_MODULES, moduleName.replace(/^model\.layers\.\d+\./, ""));
  return [placeIn(MODULES, "model.layers"), layer, place, place < LAYER_MODULES.length ? parameter : 0];
}

function placeIn(list: readonly string[], item: string): number {
  const place = list.indexOf(item);
  return place < 0 ? list.length : place;
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  const differences = a.map((place, i) => place - (b[i] ?? 0));
  return differences.find((difference) => difference !== 0) ?? 0;
}

/** A damaged config may say any number of layers; no model has more than this. */
const MAX_LAYERS = 10_000;

/**
 * The shapes of a LlamaForCausalLM's tensors by name, or null if the config doesn't say enough. `lm_head.weight` is
 * left out where it is tied to the embedding, and so are the rotary buffers.
 */
export function expectedTensors(config: ModelConfig): ReadonlyMap<string, readonly number[]> | null {
  const { hiddenSize, intermediateSize, layers, attentionHeads, keyValueHeads, vocabSize } = config;
  if (!config.architectures.includes("LlamaForCausalLM")) return null;
  if (hiddenSize === null || intermediateSize === null || layers === null || vocabSize === null) return null;
  if (attentionHeads === null || keyValueHeads === null) return null;
  const headDim = config.headDim ?? Math.floor(hiddenSize / attentionHeads);
  const shapeOf: Record<(typeof LAYER_MODULES)[number], readonly number[] | null> = {
    "self_attn.q_proj": [attentionHeads * headDim, hiddenSize],
    "self_attn.k_proj": [keyValueHeads * headDim, hiddenSize],
    "self_attn.v_proj": [keyValueHeads * headDim, hiddenSize],
    "self_attn.o_proj": [hiddenSize, attentionHeads * headDim],
    "self_attn.rotary_emb": null,
    "mlp.gate_proj": [intermediateSize, hiddenSize],
    "mlp.up_proj": [intermediateSize, hiddenSize],
    "mlp.down_proj": [hiddenSize, intermediateSize],
    input_layernorm: [hiddenSize],
    post_attention_layernorm: [hiddenSize],
  };
  const shapes = new Map<string, readonly number[]>([[EMBEDDING, [vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < Math.min(layers, MAX_LAYERS); layer++) {
    for (const module of LAYER_MODULES) {
      const shape = shapeOf[module];
      if (shape !== null) shapes.set(`model.layers.${layer}.${module}.weight`, shape);
    }
  }
  shapes.set("model.norm.weight", [hiddenSize]);
  if (!config.tieWordEmbeddings) shapes.set(LM_HEAD, [vocabSize, hiddenSize]);
  return shapes;
}
