/** What llama.cpp calls LLaMA's tensors, and how it has q and k (gguf-py/gguf/constants.py, `MODEL_TENSORS` and `TENSOR_NAMES`). */
import type { TensorView } from "../../tensor.js";
import type { ModelConfig } from "../documents.js";
import { reorderRows } from "../row-order.js";

const MODULES: Readonly<Record<string, string>> = {
  "model.embed_tokens": "token_embd",
  "model.norm": "output_norm",
  lm_head: "output",
};

const LAYER_MODULES: Readonly<Record<string, string>> = {
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
  input_layernorm: "attn_norm",
  post_attention_layernorm: "ffn_norm",
};

/** llama.cpp's name of a tensor that transformers names so; null where it has none. */
export function ggufNameOf(name: string): string | null {
  const [, layer, layerModule = ""] = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(name) ?? [];
  const inLayer = Object.hasOwn(LAYER_MODULES, layerModule) ? LAYER_MODULES[layerModule] : undefined;
  if (inLayer !== undefined) return `blk.${layer}.${inLayer}.weight`;
  const module = name.replace(/\.weight$/, "");
  return module !== name && Object.hasOwn(MODULES, module) ? `${MODULES[module]}.weight` : null;
}

/** transformers' name of a tensor that llama.cpp names so; null where it has none. */
export function plainNameOf(name: string): string | null {
  const [, layer, ofLayer = ""] = /^blk\.(\d+)\.(.+)\.weight$/.exec(name) ?? [];
  const [list, asked] =
    layer === undefined ? [MODULES, name.replace(/\.weight$/, "")] : [LAYER_MODULES, ofLayer];
  const module = Object.keys(list).find((each) => list[each] === asked);
  if (module === undefined || !name.endsWith(".weight")) return null;
  return layer === undefined ? `${module}.weight` : `model.layers.${layer}.${module}.weight`;
}

/**
 * The number of heads of a tensor whose rows are in Meta's order in a GGUF and in transformers' in a Hugging Face model,
 * by its name there; null for other tensors, and where the config doesn't say.
 */
export function headsOf(
  name: string,
  { attentionHeads, keyValueHeads }: Pick<ModelConfig, "attentionHeads" | "keyValueHeads">,
): number | null {
  if (name.endsWith(".self_attn.q_proj.weight")) return attentionHeads;
  return name.endsWith(".self_attn.k_proj.weight") ? keyValueHeads : null;
}

/**
 * A GGUF's tensors as a Hugging Face model has them: under transformers' names, q and k with their rows in its order.
 * Those of other names stay as they are.
 */
export function plainTensors(tensors: readonly TensorView[], config: ModelConfig): TensorView[] {
  return tensors.map((tensor) => {
    const name = plainNameOf(tensor.name);
    if (name === null) return tensor;
    const heads = headsOf(name, config);
    const view = heads === null ? tensor : reorderRows(tensor, (tensor.shape[0] ?? 0) / heads, "meta");
    return { ...(view ?? tensor), name };
  });
}
