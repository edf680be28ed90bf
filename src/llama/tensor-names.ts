/** Names of tensors in a LLaMA state dict, as transformers has them (modeling_llama.py). */

/** One row for each token of the vocabulary. */
export const EMBEDDING = "model.embed_tokens.weight";

/** The head: likewise, unless it is tied to the embedding. */
export const LM_HEAD = "lm_head.weight";

const ROTARY_BUFFER = /(?:^|\.)rotary_emb\.inv_freq$/;

/** Whether a buffer of the position encoding: computed, not trained, and ignored by every loader. */
export function isRotaryBuffer(name: string): boolean {
  return ROTARY_BUFFER.test(name);
}

/** The embedding among a model's tensors. */
export function embeddingOf<T extends { readonly name: string }>(tensors: readonly T[]): T | undefined {
  return tensors.find(({ name }) => name === EMBEDDING);
}
