/** Matching: tensors of one side only, quantized ones, and what the user is told of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MatchRules } from "../../src/merge/options.js";
import { base, delta, llama, match, outcomes, ROTARY } from "../support/matching.js";
import { refusal } from "../support/refusal.js";
import { view } from "../support/views.js";

const SIDES: [rules: Partial<MatchRules>, outcomes: string[]][] = [
  [{ deltaOnly: "keep", baseOnly: "keep" }, ["a: copied", "b: copied", "c: added"]],
  [{ deltaOnly: "keep", baseOnly: "drop" }, ["b: copied", "c: added", "a: dropped from base"]],
  [{ deltaOnly: "drop", baseOnly: "keep" }, ["a: copied", "c: added", "b: dropped from delta"]],
  [{ deltaOnly: "drop", baseOnly: "drop" }, ["c: added", "a: dropped from base", "b: dropped from delta"]],
];
for (const [rules, expected] of SIDES) {
  test(`tensors of one side only: ${JSON.stringify(rules)}`, () => {
    assert.deepEqual(outcomes(base, delta, rules), expected);
  });
}

test("what was kept or dropped says that it was asked for", () => {
  const { tensors, dropped } = match(base, delta, { deltaOnly: "keep", baseOnly: "drop" });
  assert.equal(tensors.find(({ name }) => name === "b")?.reason, "only in the delta, kept as asked");
  assert.deepEqual(dropped, [{ name: "a", from: "base", reason: "only in the base, dropped as asked" }]);
});

test("tensors of one side only are an error unless asked for, and all are named", async () => {
  await refusal(() => match(base, delta), "names-differ", {
    expected: "the same names on both sides (base 2, delta 2)",
    got: "only in the base (1): a; only in the delta (1): b",
    hint: /another naming/,
  });
  await refusal(() => match(base, delta, { deltaOnly: "keep" }), "names-differ", {
    got: "only in the base (1): a",
    hint: /--base-only keep/,
  });
  await refusal(() => match(base, delta, { baseOnly: "keep" }), "names-differ", {
    got: "only in the delta (1): b",
    hint: /--delta-only keep.*--delta-only drop/,
  });
});

test("a model of fewer layers is told from one that lacks some tensors", async () => {
  await refusal(() => match(llama(8, 32, 2), llama(8, 32, 3)), "names-differ", {
    got: /^only in the delta \(9\): model\.layers\.2\.self_attn\.q_proj\.weight, /,
    hint: /The base has 2 layers and the delta 3/,
  });
  await refusal(() => match(llama(8, 32, 12), llama(8, 32, 11)), "names-differ", {
    hint: /12 layers and the delta 11/,
  });
});

test("names are told before shapes", async () => {
  await refusal(() => match(base, [view("c", [9])]), "names-differ");
});

test("ten names are listed, and how many more there are", async () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => view(`x.${i}`, [i + 1]));
  await refusal(() => match([...base, ...many(10)], base), "names-differ", { got: /x\.8, x\.9$/ });
  await refusal(() => match([...base, ...many(11)], base), "names-differ", {
    got: /x\.8, x\.9, and 1 more$/,
  });
  await refusal(() => match(base, [...base, ...many(45)]), "names-differ", {
    got: "only in the delta (45): x.0, x.1, x.2, x.3, x.4, x.5, x.6, x.7, x.8, x.9, and 35 more",
  });
  const wider = many(45).map(({ name }) => view(name, [99]));
  await refusal(() => match(many(45), wider), "shapes-differ", {
    got: /^45 that differ: x\.0: base \[1\], delta \[99\]; .*; x\.9: base \[10\], delta \[99\]; and 35 more$/,
  });
});

test("a tensor of the base alone stands behind the one it follows in the base", () => {
  const names = (...list: string[]) => list.map((name) => view(name, [1]));
  const ours = names("first", "a", "only.1", "only.2", "b", "c", "last");
  const theirs = names("c", "new", "a", "b");
  const { tensors } = match(ours, theirs, { baseOnly: "keep", deltaOnly: "keep" });
  assert.deepEqual(
    tensors.map(({ name }) => name),
    ["first", "c", "last", "new", "a", "only.1", "only.2", "b"],
  );
});

test("rules that leave no tensor are refused: a model without weights is none", async () => {
  const rules = { deltaOnly: "drop", baseOnly: "drop" } as const;
  await refusal(() => match([view("a", [1])], [view("b", [1])], rules), "names-differ", {
    got: "only in the base (1): a; only in the delta (1): b",
  });
  await refusal(() => match([], [view(ROTARY, [1])]), "names-differ");
});

test("tensors with the names of properties of Object.prototype", () => {
  const odd = ["__proto__", "constructor", "toString"].map((name) => view(name, [1]));
  assert.deepEqual(outcomes(odd, odd), ["__proto__: added", "constructor: added", "toString: added"]);
});

const QUANTIZED: [title: string, names: string[], message: RegExp][] = [
  ["GPTQ", ["model.layers.0.mlp.up_proj.qweight", "model.layers.0.mlp.up_proj.qzeros"], /GPTQ or AWQ/],
  ["GPTQ with an order", ["x.qweight", "x.g_idx"], /GPTQ or AWQ/],
  ["bitsandbytes int8", ["x.weight", "x.SCB"], /bitsandbytes int8/],
  ["bitsandbytes 4 bit", ["x.weight", "x.weight.absmax"], /bitsandbytes 4 bit/],
  ["something else", ["x.weight"], /a dtype that can't be added/],
];
for (const [title, names, message] of QUANTIZED) {
  test(`a quantized base is refused: ${title}`, async () => {
    const quantized = names.map((name) => view(name, [4], "I8", "quantized.safetensors"));
    const plain = names.map((name) => view(name, [4]));
    await refusal(() => match(quantized, plain), "unsupported-dtype", {
      file: "quantized.safetensors",
      tensor: names[0],
      got: "I8",
      message,
      hint: /^Give the base in float16/,
    });
    await refusal(() => match(plain, quantized), "unsupported-dtype", { hint: /^Give the delta in float16/ });
  });
}

test("a quantized base has other names, too: what it is, is told first", async () => {
  const quantized = ["qweight", "qzeros", "scales"].map((part) =>
    view(`model.layers.0.mlp.up_proj.${part}`, [4], "I32"),
  );
  await refusal(() => match([...llama(), ...quantized], llama()), "unsupported-dtype", { message: /GPTQ/ });
  await refusal(() => match(llama(), [...llama(), ...quantized]), "unsupported-dtype", {
    message: /^The delta.*GPTQ/,
  });
});

test("only float dtypes are added; what is copied has whole bytes, and what is dropped may be anything", async () => {
  for (const dtype of ["I64", "U8", "BOOL", "F8_E4M3", "F4", "C64"] as const) {
    const odd = [view("odd", [2], dtype)];
    await refusal(() => match([...base, ...odd], [...base, ...odd]), "unsupported-dtype", {
      tensor: "odd",
      got: dtype,
    });
    const kept = () => match([...base, ...odd], base, { baseOnly: "keep" });
    if (dtype === "F4") await refusal(kept, "unsupported-dtype", { tensor: "odd" });
    else assert.equal(kept().tensors.at(-1)?.action, "copied");
    assert.equal(outcomes([...base, ...odd], base, { baseOnly: "drop" }).at(-1), "odd: dropped from base");
  }
});
