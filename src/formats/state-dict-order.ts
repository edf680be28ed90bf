/**
 * In: tensor names of a LLaMA-shaped model. Out: the same in state-dict order, the order in which
 * transformers registers the modules (models/llama/modeling_llama.py) and so `save_pretrained` fills shards.
 * A safetensors file can't record that order (it sorts its tensors), so it is restored from the names.
 */

/** Modules of one decoder layer in order of registration. */
const LAYER_ORDER = [
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
];

const MODEL_ORDER = ["model.embed_tokens", "model.layers", "model.norm", "model.mm_projector", "lm_head"];

const PARAMETER_ORDER = ["weight", "bias"];

/**
 * Sorts LLaMA's tensors into state-dict order. Tensors whose names are not LLaMA's keep their place behind
 * those that precede them in `MODEL_ORDER`, in the order given.
 */
export function inStateDictOrder<T extends { readonly name: string }>(tensors: readonly T[]): T[] {
  return tensors
    .map((tensor) => ({ tensor, rank: rankOf(tensor.name) }))
    .sort((a, b) => compareRanks(a.rank, b.rank))
    .map(({ tensor }) => tensor);
}

function rankOf(name: string): number[] {
  const dot = name.lastIndexOf(".");
  const moduleName = name.slice(0, Math.max(dot, 0));
  const parameter = position(PARAMETER_ORDER, name.slice(dot + 1));
  const layer = /^model\.layers\.(\d+)\.(.+)$/.exec(moduleName);
  if (layer === null) {
    const place = position(MODEL_ORDER, moduleName);
    return [place, 0, 0, place < MODEL_ORDER.length ? parameter : 0];
  }
  const place = position(LAYER_ORDER, layer[2] ?? "");
  return [
    MODEL_ORDER.indexOf("model.layers"),
    Number(layer[1]),
    place,
    place < LAYER_ORDER.length ? parameter : 0,
  ];
}

function position(list: readonly string[], item: string): number {
  const at = list.indexOf(item);
  return at < 0 ? list.length : at;
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
