/** The order of a LLaMA's state dict, restored from names alone. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { inStateDictOrder } from "../../src/llama/tensor-names.js";
import { fixturePath } from "../support/fixture-path.js";

const ordered = (names: readonly string[]) =>
  inStateDictOrder(names.map((name) => ({ name }))).map(({ name }) => name);

/** Of a real LlamaForCausalLM with 11 layers and biases in its attention. */
const { names: LLAMA } = JSON.parse(
  readFileSync(fixturePath("shard-index/pretrained/state-dict.json"), "utf8"),
) as { names: string[] };

const shuffled = (names: readonly string[]) =>
  fc.shuffledSubarray([...names], { minLength: names.length, maxLength: names.length });

test("a LLaMA's tensors come in the order of its modules, whatever order they are given in", () => {
  fc.assert(fc.property(shuffled(LLAMA), (names) => assert.deepEqual(ordered(names), LLAMA)));
});

test("the rotary buffers of old conversions stand behind o_proj", () => {
  const [attention, mlp] = ["model.layers.0.self_attn", "model.layers.0.mlp"];
  const expected = [
    `${attention}.q_proj.weight`,
    `${attention}.o_proj.weight`,
    `${attention}.rotary_emb.inv_freq`,
    `${mlp}.gate_proj.weight`,
    "model.layers.1.self_attn.rotary_emb.inv_freq",
  ];
  fc.assert(fc.property(shuffled(expected), (names) => assert.deepEqual(ordered(names), expected)));
});

test("LLaVA's projector stands between norm and head", () => {
  const expected = [
    "model.norm.weight",
    "model.mm_projector.weight",
    "model.mm_projector.bias",
    "lm_head.weight",
  ];
  fc.assert(fc.property(shuffled(expected), (names) => assert.deepEqual(ordered(names), expected)));
});

test("names that are no LLaMA's keep their order", () => {
  const foreign = [
    "z.bias",
    "a.weight",
    "z.weight",
    "b",
    "transformer.h.10.w",
    "transformer.h.2.w",
    "lm_headx",
    "",
  ];
  fc.assert(fc.property(shuffled(foreign), (names) => assert.deepEqual(ordered(names), names)));
});

test("modules of a layer that aren't known keep their order behind those that are", () => {
  const given = [
    "model.layers.0.self_attn.q_norm.bias",
    "model.layers.0.extra.weight",
    "model.layers.0.mlp.up_proj.weight",
    "model.layers.1.self_attn.q_proj.weight",
  ];
  assert.deepEqual(ordered(given), [given[2], given[0], given[1], given[3]]);
});

test("nothing is lost, added or changed", () => {
  const anyName = fc.oneof(
    fc.constantFrom(...LLAMA),
    fc.string(),
    fc.constantFrom("model.layers.x.y", "model.layers.1"),
  );
  fc.assert(
    fc.property(fc.array(anyName), (names) => {
      const given = names.map((name) => ({ name }));
      const got = inStateDictOrder(given);
      assert.equal(new Set(got).size, given.length);
      for (const item of got) assert.ok(given.includes(item));
      assert.deepEqual(inStateDictOrder(got), got);
    }),
  );
});
