/** The prompt templates, rendered as transformers' Jinja would: the examples of FastChat, character for character. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Template } from "@huggingface/jinja";
import { chatTemplateOf, PROMPT_STYLES, type PromptStyle } from "../../src/llama/prompt-templates.js";

interface Message {
  readonly role: string;
  readonly content: string;
}

const say = (role: string, content: string): Message => ({ role, content });
const TURNS = [
  say("user", "Hello!"),
  say("assistant", "Hello!"),
  say("user", "How are you?"),
  say("assistant", "I am good."),
];

function render(style: PromptStyle, messages: readonly Message[], addGenerationPrompt = false): string {
  return new Template(chatTemplateOf(style)).render({
    messages,
    bos_token: "<s>",
    eos_token: "</s>",
    add_generation_prompt: addGenerationPrompt,
  });
}

const SYSTEM = {
  v0: "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the human's questions.",
  "v1.1":
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.",
};

/** FastChat, docs/vicuna_weights_version.md and conversation.py. */
const EXAMPLES = {
  v0: `${SYSTEM.v0}
### Human: Hello!
### Assistant: Hello!
### Human: How are you?
### Assistant: I am good.`,
  "v1.1": `${SYSTEM["v1.1"]} USER: Hello! ASSISTANT: Hello!</s>USER: How are you? ASSISTANT: I am good.</s>`,
};

/** What the generation prompt adds to the first three turns. */
const PROMPTS = { v0: "\n### Assistant:", "v1.1": " ASSISTANT:" };

for (const style of PROMPT_STYLES) {
  test(`${style}: two turns are FastChat's example behind the bos token`, () => {
    assert.equal(render(style, TURNS), `<s>${EXAMPLES[style]}`);
  });

  test(`${style}: the generation prompt follows a user's message, and only one`, () => {
    const answered = EXAMPLES[style].replace(/\n?\s?(?:### Assistant|ASSISTANT): I am good\..*$/, "");
    assert.equal(render(style, TURNS.slice(0, 3), true), `<s>${answered}${PROMPTS[style]}`);
    assert.equal(render(style, TURNS.slice(0, 3), false), `<s>${answered}`);
    assert.equal(render(style, TURNS, true), `<s>${EXAMPLES[style]}`);
  });

  test(`${style}: a first system message replaces the default one`, () => {
    const text = render(style, [say("system", "Be terse."), ...TURNS]);
    assert.equal(text, `<s>${EXAMPLES[style].replace(SYSTEM[style], "Be terse.")}`);
  });

  test(`${style}: a message is taken as it is`, () => {
    const odd = "  {{ 1 }} {% raw %} </s> ### 'quoted' \"twice\" \\n\n🦙 ";
    assert.ok(render(style, [say("user", odd)]).endsWith(`: ${odd}`));
  });

  test(`${style}: no messages give the system message alone`, () => {
    assert.equal(render(style, [], true), `<s>${SYSTEM[style]}`);
  });

  const user = say("user", "a");
  const assistant = say("assistant", "b");
  const system = say("system", "c");
  const wrong: Record<string, readonly Message[]> = {
    "the assistant first": [assistant, user],
    "the assistant after the system": [system, assistant],
    "the user twice": [user, user],
    "the assistant twice": [user, assistant, assistant],
    "a system message later": [user, system],
    "a system message twice": [system, system, user],
    "a tool": [user, say("tool", "d")],
    "an unknown role": [say("human", "e")],
  };
  for (const [title, messages] of Object.entries(wrong)) {
    test(`${style} refuses ${title}`, () => {
      assert.throws(() => render(style, messages), /must take turns/);
    });
  }

  test(`${style}: one line, so that no option of Jinja's about white space matters`, () => {
    assert.doesNotMatch(chatTemplateOf(style), /\n|\{%-|-%\}|\{\{-|-\}\}/);
  });
}

test("llama.cpp knows the v1.1 template by its words", () => {
  assert.match(chatTemplateOf("v1.1"), /USER: .*ASSISTANT: /);
});
