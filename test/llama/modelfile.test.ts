/** What Ollama itself makes of the Modelfiles: test/fixtures/modelfile/render_prompts.go. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Template } from "@huggingface/jinja";
import { modelfile } from "../../src/llama/modelfile.js";
import { chatTemplateOf, PROMPT_STYLES, PROMPTS } from "../../src/llama/prompt-templates.js";
import { fixturePath } from "../support/fixture-path.js";

const CONTEXT_TOKENS = { v0: 2048, "v1.1": 4096 };

interface ReadByOllama {
  readonly commands: readonly (readonly [name: string, value: string])[];
  readonly prompts: readonly string[];
}

const readFixture = (name: string) => readFileSync(fixturePath(`modelfile/${name}`), "utf8");
const ollama: Readonly<Record<string, ReadByOllama>> = JSON.parse(readFixture("prompts.json"));

for (const style of PROMPT_STYLES) {
  const gguf = `vicuna 7b-${style}.gguf`;
  const { commands = [], prompts = [] } = ollama[style] ?? {};

  test(`${style}: the Modelfile is the one that Ollama read`, () => {
    const made = modelfile(gguf, style, CONTEXT_TOKENS[style]);
    assert.equal(made, readFixture(`${style}.Modelfile`));
  });

  test(`${style}: Ollama reads model, system message, context and stop words`, () => {
    const read = commands.filter(([name]) => name !== "template");
    assert.deepEqual(read, [
      ["model", `./${gguf}`],
      ["system", PROMPTS[style].system],
      ["num_ctx", `${CONTEXT_TOKENS[style]}`],
      ...PROMPTS[style].stop.map((word) => ["stop", word]),
    ]);
  });

  test(`${style}: Ollama's prompts are those of the chat template, whose bos it adds itself`, () => {
    const render = (...contents: readonly string[]) =>
      new Template(chatTemplateOf(style)).render({
        messages: contents.map((content, i) => ({
          role: ["system", "user", "assistant"][i === 0 ? 0 : 2 - (i % 2)],
          content,
        })),
        bos_token: "",
        eos_token: "</s>",
        add_generation_prompt: true,
      });
    const { system } = PROMPTS[style];
    const talk = render(system, "Hello!", "Hello!", "How are you?");
    assert.equal(prompts[0], talk);
    assert.equal(prompts[1], render("Be terse.", "Hello!"));
    assert.equal(prompts[2], `${talk} I am`, "an answer that goes on");
    assert.equal(prompts[3], render("", "Hello!").replace(/^ /, ""));
  });
}
