/**
 * The tensors of Meta's files under transformers' names, and how each is shared out over several files
 * (transformers 4.31, convert_llama_weights_to_hf.py).
 */

export interface MetaTensor {
  /** transformers' name. */
  readonly name: string;
  /** The dimension each file has a part of; null where each file has the whole. */
  readonly splitBy: "rows" | "columns" | null;
  /** Whose heads its rows belong to, where the order of their rows differs. */
  readonly headsOf: "queries" | "keys" | null;
}

const tensor = (
  name: string,
  splitBy: MetaTensor["splitBy"],
  headsOf: MetaTensor["headsOf"] = null,
): MetaTensor => ({ name: `${name}.weight`, splitBy, headsOf });

const OUTSIDE: Readonly<Record<string, MetaTensor>> = {
  // By rows in Llama 3.
  tok_embeddings: tensor("model.embed_tokens", "columns"),
  norm: tensor("model.norm", null),
  output: tensor("lm_head", "rows"),
};

const IN_LAYER: Readonly<Record<string, MetaTensor>> = {
  "attention.wq": tensor("self_attn.q_proj", "rows", "queries"),
  "attention.wk": tensor("self_attn.k_proj", "rows", "keys"),
  "attention.wv": tensor("self_attn.v_proj", "rows"),
  "attention.wo": tensor("self_attn.o_proj", "columns"),
  "feed_forward.w1": tensor("mlp.gate_proj", "rows"),
  "feed_forward.w2": tensor("mlp.down_proj", "columns"),
  "feed_forward.w3": tensor("mlp.up_proj", "rows"),
  attention_norm: tensor("input_layernorm", null),
  ffn_norm: tensor("post_attention_layernorm", null),
};

/** The frequencies of the rotary encoding: every loader computes them. */
export const ROTARY_FREQUENCIES = "rope.freqs";

/** A tensor of every one of Meta's files, and of no other's. */
export const FIRST_QUERIES = "layers.0.attention.wq.weight";

/** The file with part `number` of the tensors: `consolidated.00.pth`. */
export function partName(number: number): string {
  return `consolidated.${String(number).padStart(2, "0")}.pth`;
}

/** The number of the part in a file of this name; null for another name. */
export function partNumber(fileName: string): number | null {
  const number = /^consolidated\.(\d\d)\.pth$/.exec(fileName)?.[1];
  return number === undefined ? null : Number(number);
}

/** Null for a name that Meta's files don't have. */
export function metaTensor(name: string): MetaTensor | null {
  const [, layer, module = ""] = /^(?:layers\.(\d+)\.)?(.*)\.weight$/.exec(name) ?? [];
  const table = layer === undefined ? OUTSIDE : IN_LAYER;
  const found = Object.hasOwn(table, module) ? (table[module] as MetaTensor) : null;
  if (found === null || layer === undefined) return found;
  return { ...found, name: `model.layers.${Number(layer)}.${found.name}` };
}
