import type { ModelConfig, TokenizerState } from "../documents.js";

/** What is read of a GGUF's keys. */
type Keys = readonly { readonly key: string; readonly value: unknown }[];

/** What a GGUF's keys say of its model, as a config.json would. `hasHead`: whether it has a head of its own. */
export function configOfKeys(keys: Keys, hasHead: boolean): ModelConfig {
  const values = new Map(keys.map(({ key, value }) => [key, value]));
  const text = (key: string) => {
    const value = values.get(key);
    return typeof value === "string" ? value : null;
  };
  const number = (key: string) => {
    const value = values.get(key);
    return typeof value === "number" ? value : null;
  };
  const architecture = text("general.architecture");
  const of = (key: string) => number(`${architecture}.${key}`);
  const tokens = values.get("tokenizer.ggml.tokens");
  const scaling = text(`${architecture}.rope.scaling.type`);
  const attentionHeads = of("attention.head_count");
  return {
    architectures:
      architecture === "llama" ? ["LlamaForCausalLM"] : architecture === null ? [] : [architecture],
    modelType: architecture,
    hiddenSize: of("embedding_length"),
    intermediateSize: of("feed_forward_length"),
    layers: of("block_count"),
    attentionHeads,
    keyValueHeads: of("attention.head_count_kv") ?? attentionHeads,
    headDim: of("attention.key_length"),
    vocabSize: of("vocab_size") ?? (Array.isArray(tokens) ? tokens.length : null),
    maxPositionEmbeddings: of("context_length"),
    maxSequenceLength: null,
    rmsNormEps: of("attention.layer_norm_rms_epsilon"),
    ropeScaling: scaling === null ? null : { type: scaling, factor: of("rope.scaling.factor") },
    ropeTheta: of("rope.freq_base"),
    tieWordEmbeddings: !hasHead,
    torchDType: null,
    bosTokenId: number("tokenizer.ggml.bos_token_id"),
    eosTokenId: number("tokenizer.ggml.eos_token_id"),
    padTokenId: number("tokenizer.ggml.padding_token_id"),
    nameOrPath: text("general.name"),
  };
}

/** What a GGUF's keys say of its tokenizer, as the files beside a model would. */
export function tokenizerStateOfKeys(keys: Keys, rows: number | null): TokenizerState {
  const tokens = keys.find(({ key }) => key === "tokenizer.ggml.tokens")?.value;
  const pieces = Array.isArray(tokens) ? tokens.length : null;
  const faults =
    pieces === null || rows === null || pieces === rows ? [] : [`${pieces} tokens for ${rows} rows`];
  const problems = pieces === null ? ["the GGUF has no tokens"] : faults;
  return { files: [], pieces, addedTokens: pieces === null ? null : 0, rows, problems, faults };
}
