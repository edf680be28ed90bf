/** The files beside a model's weights. */

export const CONFIG = "config.json";
export const GENERATION_CONFIG = "generation_config.json";
/** LLaVA's, for images. */
export const PREPROCESSOR_CONFIG = "preprocessor_config.json";
export const TOKENIZER_MODEL = "tokenizer.model";
export const MODEL_CARD = "README.md";

export const TOKENIZER_TEXTS = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
] as const;

export type TokenizerText = (typeof TOKENIZER_TEXTS)[number];

/** Two forms of one vocabulary: either holds every token. */
export const VOCABULARY_FILES: readonly string[] = [TOKENIZER_MODEL, "tokenizer.json"];

/** Newer transformers prefer these to `chat_template` in tokenizer_config.json. */
export const TEMPLATE_FILES = ["chat_template.jinja", "chat_template.json"];

export const TOKENIZER_FILES: readonly string[] = [TOKENIZER_MODEL, ...TOKENIZER_TEXTS, ...TEMPLATE_FILES];

/** Every file beside the weights that a target may be made from. */
export const ASSET_NAMES: readonly string[] = [
  CONFIG,
  GENERATION_CONFIG,
  PREPROCESSOR_CONFIG,
  ...TOKENIZER_FILES,
];
