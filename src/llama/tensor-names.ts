/** The tensors of a LLaMA as transformers has them (models/llama/modeling_llama.py): names, order and shapes. */
import type { ModelConfig } from "./documents.js";

/** One row for each token of the vocabulary. */
export const EMBEDDING = "model.embed_tokens.weight";

/** One row for each token, too, unless it is tied to the embedding. */
export const LM_HEAD = "lm_head.weight";

type Width = "hidden" | "intermediate" | "queries" | "keys";

/** Modules of a decoder layer in order of registration, and the shape of each one's weight; null for a buffer. */
const LAYER_MODULES: Readonly<Record<string, readonly Width[] | null>> = {
  "self_attn.q_proj": ["queries", "hidden"],
  "self_attn.k_proj": ["keys", "hidden"],
  "self_attn.v_proj": ["keys", "hidden"],
  "self_attn.o_proj": ["hidden", "queries"],
  "self_attn.rotary_emb": null,
  "mlp.gate_proj": ["intermediate", "hidden"],
  "mlp.up_proj": ["intermediate", "hidden"],
  "mlp.down_proj": ["hidden", "intermediate"],
  input_layernorm: ["hidden"],
  post_attention_layernorm: ["hidden"],
};

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

/** Whether a matrix has a row for each token; it grows when tokens are added. */
export function hasRowsOfTokens(name: string): boolean {
  return name === EMBEDDING || name === LM_HEAD;
}

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
    .sort(
      (a, b) =>
        a.rank.map((place, i) => place - (b.rank[i] ?? 0)).find((difference) => difference !== 0) ?? 0,
    )
    .map(({ tensor }) => tensor);
}

/** Place in the model, layer, place in the layer, parameter. */
function rankOf(name: string): number[] {
  const layer = layerOf(name);
  const [list, inside] =
    layer === null
      ? [MODULES, name]
      : [Object.keys(LAYER_MODULES), name.replace(/^model\.layers\.\d+\./, "")];
  const dot = Math.max(inside.lastIndexOf("."), 0);
  const place = placeIn(list, inside.slice(0, dot));
  const parameter = place < list.length ? placeIn(PARAMETERS, inside.slice(dot + 1)) : 0;
  return layer === null
    ? [place, 0, 0, parameter]
    : [MODULES.indexOf("model.layers"), layer, place, parameter];
}

function placeIn(list: readonly string[], item: string): number {
  const place = list.indexOf(item);
  return place < 0 ? list.length : place;
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
  const widths: Record<Width, number> = {
    hidden: hiddenSize,
    intermediate: intermediateSize,
    queries: attentionHeads * headDim,
    keys: keyValueHeads * headDim,
  };
  const shapes = new Map<string, readonly number[]>([[EMBEDDING, [vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < Math.min(layers, MAX_LAYERS); layer++) {
    for (const [module, shape] of Object.entries(LAYER_MODULES)) {
      if (shape === null) continue;
      shapes.set(
        `model.layers.${layer}.${module}.weight`,
        shape.map((width) => widths[width]),
      );
    }
  }
  shapes.set("model.norm.weight", [hiddenSize]);
  if (!config.tieWordEmbeddings) shapes.set(LM_HEAD, [vocabSize, hiddenSize]);
  return shapes;
}
