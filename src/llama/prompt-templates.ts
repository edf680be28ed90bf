/**
 * The prompts Vicuna was trained with, also as Jinja chat templates. transformers, vLLM and llama.cpp read them from
 * `chat_template` in tokenizer_config.json. Source: FastChat `conversation.py` (`vicuna_v1.1`; `zero_shot` for v0) and
 * `docs/vicuna_weights_version.md`.
 *
 * Both begin with the bos token, since Vicuna was trained with it, and apply_chat_template and vLLM add none. A first
 * `system` message replaces the default one. The generation prompt follows a user's message and ends without a space,
 * as in FastChat: the model's first token brings its own.
 */

export const PROMPT_STYLES = ["v0", "v1.1"] as const;

/**
 * How the model is spoken to: `v0` with `###`, `v1.1` with `USER:` and `ASSISTANT:`. `v1.1` is also the style of
 * v1.3 and v1.5.
 */
export type PromptStyle = (typeof PROMPT_STYLES)[number];

export interface Prompt {
  readonly system: string;
  /** Between the system message and the first turn. */
  readonly afterSystem: string;
  /** Before a user's message. */
  readonly user: string;
  /** Before the model's message; a space follows. */
  readonly assistant: string;
  /** Whether the model's message ends with the eos token. */
  readonly hasEnd: boolean;
  /** Where generation must end. */
  readonly stop: readonly string[];
}

export const PROMPTS: Readonly<Record<PromptStyle, Prompt>> = {
  v0: {
    system:
      "A chat between a curious human and an artificial intelligence assistant. " +
      "The assistant gives helpful, detailed, and polite answers to the human's questions.",
    afterSystem: "",
    user: "\n### Human: ",
    assistant: "\n### Assistant:",
    // v0 has no end token.
    hasEnd: false,
    stop: ["###"],
  },
  "v1.1": {
    system:
      "A chat between a curious user and an artificial intelligence assistant. " +
      "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    afterSystem: " ",
    user: "USER: ",
    assistant: " ASSISTANT:",
    hasEnd: true,
    stop: ["</s>", "USER:"],
  },
};

/** A string of Jinja. */
const quoted = (text: string) => `'${text.replaceAll("\n", "\\n")}'`;

/** The template of a style, one line without spaces of its own. */
export function chatTemplateOf(style: PromptStyle): string {
  const { system, afterSystem, user, assistant, hasEnd } = PROMPTS[style];
  const separator = afterSystem === "" ? "" : `(${quoted(afterSystem)} if loop.first else '') + `;
  return [
    `{% if messages and messages[0]['role'] == 'system' %}`,
    `{% set system_message = messages[0]['content'] %}{% set turns = messages[1:] %}`,
    `{% else %}`,
    `{% set system_message = "${system}" %}{% set turns = messages %}`,
    `{% endif %}`,
    `{{ bos_token }}{{ system_message }}`,
    `{% for message in turns %}`,
    `{% if message['role'] != ('user' if loop.index0 % 2 == 0 else 'assistant') %}`,
    `{{ raise_exception('After an optional system message, user and assistant must take turns, the user first.') }}`,
    `{% elif message['role'] == 'user' %}`,
    `{{ ${separator}${quoted(user)} + message['content'] }}`,
    `{% else %}`,
    `{{ ${quoted(`${assistant} `)} + message['content']${hasEnd ? " + eos_token" : ""} }}`,
    `{% endif %}`,
    `{% if loop.last and add_generation_prompt and message['role'] == 'user' %}`,
    `{{ ${quoted(assistant)} }}`,
    `{% endif %}`,
    `{% endfor %}`,
  ].join("");
}
