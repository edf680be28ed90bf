/** Names behind a prefix: which are read as LLaMA's, and which are left as they are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { plainNames } from "../../src/llama/plain-names.js";
import { tinyShapes } from "../support/model-folder.js";

const NAMES = tinyShapes().map(({ name }) => name);

const PREFIXES = [
  "module.",
  "_orig_mod.",
  "module._orig_mod.",
  "_fsdp_wrapped_module.",
  "base_model.model.",
  "language_model.",
  "llama_model.base_model.model.",
  "model.",
];
for (const prefix of PREFIXES) {
  test(`all behind ${prefix}`, () => {
    const plain = plainNames(NAMES.map((name) => prefix + name));
    assert.deepEqual(
      [...(plain ?? [])],
      NAMES.map((name) => [prefix + name, name]),
    );
  });
}

const mapped = (names: readonly string[]) => [...(plainNames(names)?.values() ?? ["nothing"])];

test("a model saved without its head has no model. before its names; a head has none either way", () => {
  const bare = NAMES.filter((name) => name !== "lm_head.weight");
  assert.deepEqual(mapped(bare.map((name) => name.replace("model.", ""))), bare);
  assert.deepEqual(mapped(NAMES.map((name) => name.replace("model.", ""))), NAMES);
});

test("a language model inside another one: the rest keeps its names", () => {
  const vision = ["vision_tower.encoder.layers.0.self_attn.q_proj.weight", "model.mm_projector.weight"];
  const inside = NAMES.map((name) => name.replace("model.", "model.language_model."));
  assert.deepEqual(mapped([...inside, ...vision]), [...NAMES, ...vision]);
});

test("wrappers around each layer are taken out, too", () => {
  const wrapped = NAMES.map((name) => name.replace(/(layers\.\d+\.)/, "$1_checkpoint_wrapped_module."));
  assert.deepEqual(mapped(wrapped), NAMES);
});

const LEFT: [string, readonly string[]][] = [
  ["LLaMA's own names", NAMES],
  ["names that tell nothing", ["a", "module.b"]],
  ["two language models", [...NAMES, ...NAMES.map((name) => `module.${name}`)]],
  ["another architecture", ["model.decoder.embed_tokens.weight", "model.decoder.layers.0.fc1.weight"]],
  ["names that would become one", ["module.model.embed_tokens.weight", "module.x", "x"]],
];
for (const [what, names] of LEFT) {
  test(`left as they are: ${what}`, () => {
    assert.equal(plainNames(names), null);
  });
}
