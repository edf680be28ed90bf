/** Matching: each rule, what no rule explains, and what the user is told then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { matchTensors } from "../../src/merge/match.js";
import type { MatchRules } from "../../src/merge/options.js";
import type { DType, TensorView } from "../../src/tensor.js";
import { tinyShapes } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { view } from "../support/views.js";

const DEFAULT: MatchRules = { newRows: "zero", trimRows: false, deltaOnly: "error", baseOnly: "error" };

const EMBED = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";
const ROTARY = "model.layers.0.self_attn.rotary_emb.inv_freq";

const llama = (rows?: number, width?: number, layers?: number) =>
  tinyShapes(rows, width, layers).map(({ name, shape }) => view(name, shape));

const side = (tensors: readonly TensorView[], tiesEmbeddings = false) => ({ tensors, tiesEmbeddings });

const match = (base: readonly TensorView[], delta: readonly TensorView[], rules: Partial<MatchRules> = {}) =>
  matchTensors(side(base), side(delta), { ...DEFAULT, ...rules });

/** What became of each tensor: `name: action` or `name: dropped from side`. */
const outcomes = (...args: Parameters<typeof match>) => {
  const { tensors, dropped } = match(...args);
  return [
    ...tensors.map(({ name, action }) => `${name}: ${action}`),
    ...dropped.map(({ name, from }) => `${name}: dropped from ${from}`),
  ];
};

/** The base has a; the delta has b; both have c. */
const base = [view("a", [1]), view("c", [2, 3])];
const delta = [view("b", [1]), view("c", [2, 3])];

test("the same names and shapes are added, in the delta's order", () => {
  const [ours, theirs] = [llama(), llama().reverse()];
  const { tensors, dropped } = match(ours, theirs);
  assert.deepEqual(
    tensors.map(({ name }) => name),
    theirs.map(({ name }) => name),
  );
  for (const { name, shape, action, reason, base: from, delta: by } of tensors) {
    assert.deepEqual([action, reason], ["added", null]);
    assert.equal(
      from,
      ours.find((tensor) => tensor.name === name),
    );
    assert.equal(
      by,
      theirs.find((tensor) => tensor.name === name),
    );
    assert.equal(shape, by?.shape);
  }
  assert.deepEqual(dropped, []);
});

test("dtypes needn't be the same to be added", () => {
  const dtypes: DType[] = ["F16", "BF16", "F32", "F64"];
  for (const a of dtypes) {
    for (const b of dtypes)
      assert.deepEqual(outcomes([view("c", [2], a)], [view("c", [2], b)]), ["c: added"]);
  }
});

test("embeddings grow where the delta has more rows", () => {
  const { tensors } = match(llama(64), llama(65));
  const grown = tensors.filter(({ action }) => action === "grown");
  assert.deepEqual(
    grown.map(({ name, shape }) => [name, shape]),
    [
      [EMBED, [65, 32]],
      [HEAD, [65, 32]],
    ],
  );
  assert.equal(grown[0]?.reason, "1 row that only the delta has: the base counts as zeros there");
  const three = match(llama(64), llama(67)).tensors[0];
  assert.equal(three?.reason, "3 rows that only the delta has: the base counts as zeros there");
});

test("rows grow only where that was allowed, of the delta only, and of embeddings only", async () => {
  await refusal(() => match(llama(64), llama(65), { newRows: "error" }), "shapes-differ", {
    got: `2 that differ: ${EMBED}: base [64, 32], delta [65, 32]; ${HEAD}: base [64, 32], delta [65, 32]`,
    hint: /--new-rows zero/,
  });
  await refusal(() => match(llama(65), llama(64)), "shapes-differ", { hint: /merged v0 Vicuna/ });
  const wide = (rows: number, columns: number) => [view("model.norm.weight", [rows, columns])];
  await refusal(() => match(wide(3, 4), wide(4, 4)), "shapes-differ", { hint: /different models/ });
  const vector = (rows: number) => [view(EMBED, [rows])];
  await refusal(() => match(vector(3), vector(4)), "shapes-differ");
});

test("embedding and head of different heights, as where shards of v0 and v1.1 are mixed", async () => {
  const mixed = llama(64).map((tensor) =>
    tensor.name === HEAD ? view(HEAD, [65, 32], "F16", "v0.bin") : tensor,
  );
  const details = { file: "v0.bin", tensor: HEAD, got: "65 rows", hint: /Shards of two releases/ };
  await refusal(() => match(llama(64), mixed), "shapes-differ", { message: /^The delta's/, ...details });
  await refusal(() => match(mixed, llama(64)), "shapes-differ", { message: /^The base's/, ...details });
  await refusal(() => match(mixed, mixed), "shapes-differ", { message: /^The base's/ });
});

test("rows of the delta alone can be left out", () => {
  const { tensors } = match(llama(64), llama(66), { trimRows: true });
  const [embedding] = tensors;
  assert.deepEqual([embedding?.name, embedding?.action, embedding?.shape], [EMBED, "added", [64, 32]]);
  assert.deepEqual(embedding?.delta?.shape, [64, 32]);
  assert.equal(embedding?.reason, "2 rows that only the delta has: left out as asked");
  assert.deepEqual(tensors.at(-1)?.shape, [64, 32]);
  assert.ok(tensors.slice(1, -1).every(({ reason }) => reason === null));
});

test("rows of the delta alone can be added to the mean of the base's", () => {
  const { tensors } = match(llama(64), llama(65), { newRows: "mean" });
  assert.equal(tensors[0]?.newRows, "mean");
  assert.equal(
    tensors[0]?.reason,
    "1 row that only the delta has: the base counts as the mean of its rows there",
  );
  assert.equal(match(llama(64), llama(65)).tensors[0]?.newRows, "zero");
  assert.equal(tensors[1]?.newRows, undefined);
});

/** Sides whose config says that head and embedding are one, with and without the head among the tensors. */
const headless = () => llama().filter(({ name }) => name !== HEAD);

test("a tied base without a head: its embedding stands for both", () => {
  const ours = headless();
  const { tensors, dropped } = matchTensors(side(ours, true), side(llama()), DEFAULT);
  const head = tensors.at(-1);
  assert.deepEqual([head?.name, head?.action, head?.base?.name], [HEAD, "added", HEAD]);
  assert.equal(head?.base?.offsetBytes, ours[0]?.offsetBytes);
  assert.deepEqual(dropped, []);
});

test("a tied delta without a head: the target is tied, too", () => {
  const { tensors, dropped } = matchTensors(side(llama()), side(headless(), true), DEFAULT);
  assert.ok(tensors.every(({ name, action }) => name !== HEAD && action === "added"));
  assert.deepEqual(
    dropped.map(({ name, from }) => [name, from]),
    [[HEAD, "base"]],
  );
});

test("both tied, with and without the head among the tensors", () => {
  for (const [ours, theirs] of [
    [headless(), headless()],
    [llama(), headless()],
    [headless(), llama()],
    [llama(), llama()],
  ] as const) {
    const { tensors } = matchTensors(side(ours, true), side(theirs, true), DEFAULT);
    assert.deepEqual(
      tensors.map(({ name, action }) => `${name}: ${action}`),
      theirs.map(({ name }) => `${name}: added`),
    );
  }
});

test("a head that is missing where nothing is tied is missing", async () => {
  await refusal(() => match(llama(), headless()), "names-differ", { got: `only in the base (1): ${HEAD}` });
  await refusal(() => match(headless(), llama()), "names-differ", { got: `only in the delta (1): ${HEAD}` });
  await refusal(() => matchTensors(side(headless()), side(llama(), true), DEFAULT), "names-differ");
});

const SIZES: [base: number, delta: number, hint: RegExp][] = [
  [4096, 5120, /The base is 7B and the delta 13B/],
  [5120, 4096, /The base is 13B and the delta 7B/],
  [6656, 8192, /The base is 30B \(33B\) and the delta 65B or 70B/],
  [4096, 100, /The base is 7B and the delta width 100/],
];
for (const [ours, theirs, hint] of SIZES) {
  test(`models of width ${ours} and ${theirs}`, async () => {
    await refusal(() => match(llama(8, ours), llama(8, theirs)), "shapes-differ", { hint });
  });
}

test("more rows and another width is another size, not a growing embedding", async () => {
  await refusal(() => match(llama(8, 4096), llama(9, 5120)), "shapes-differ", {
    hint: /7B and the delta 13B/,
  });
});

test("a rank that differs is a shape that differs", async () => {
  await refusal(() => match([view("c", [2, 3])], [view("c", [2, 3, 1])]), "shapes-differ", {
    got: "1 that differ: c: base [2, 3], delta [2, 3, 1]",
  });
  await refusal(() => match([view("c", [])], [view("c", [1])]), "shapes-differ", {
    got: /base \[\], delta \[1\]/,
  });
});

test("a rotary buffer follows the base", () => {
  const both = [view(ROTARY, [64], "F32")];
  const [rest] = [[view("c", [2])]];
  assert.deepEqual(outcomes([...both, ...rest], [...both, ...rest]), [`${ROTARY}: added`, "c: added"]);
  assert.deepEqual(outcomes([...both, ...rest], rest), [`${ROTARY}: copied`, "c: added"]);
  assert.deepEqual(outcomes(rest, [...both, ...rest]), ["c: added", `${ROTARY}: dropped from delta`]);
  for (const side of ["keep", "drop", "error"] as const) {
    const rules = { deltaOnly: side, baseOnly: side };
    assert.deepEqual(outcomes([...both, ...rest], rest, rules), [`${ROTARY}: copied`, "c: added"], side);
    assert.deepEqual(
      outcomes(rest, [...both, ...rest], rules),
      ["c: added", `${ROTARY}: dropped from delta`],
      side,
    );
  }
  assert.equal(match(both, []).tensors[0]?.reason, "rotary buffer, only in the base");
});

test("names that only end like a rotary buffer are none", async () => {
  for (const name of ["my_rotary_emb.inv_freq", "rotary_emb.inv_freq2", "rotary_emb_inv_freq"]) {
    await refusal(() => match([view(name, [1]), ...base], base), "names-differ", { got: new RegExp(name) });
  }
  assert.deepEqual(
    outcomes([view("rotary_emb.inv_freq", [1]), ...base], base)[0],
    "rotary_emb.inv_freq: copied",
  );
});

test("LLaVA's projector is copied from the delta", () => {
  const projector = ["weight", "bias"].map((name) => view(`model.mm_projector.${name}`, [4]));
  assert.deepEqual(outcomes(llama(), [...llama(), ...projector]).slice(-2), [
    "model.mm_projector.weight: copied",
    "model.mm_projector.bias: copied",
  ]);
  const copied = match(llama(), [...llama(), ...projector]).tensors.at(-1);
  assert.equal(copied?.base, null);
  assert.equal(copied?.delta, projector[1]);
});

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

test("only float dtypes are added or copied; what is dropped may be anything", async () => {
  for (const dtype of ["I64", "U8", "BOOL", "F8_E4M3", "F4", "C64"] as const) {
    const odd = [view("odd", [2], dtype)];
    await refusal(() => match([...base, ...odd], base, { baseOnly: "keep" }), "unsupported-dtype", {
      tensor: "odd",
      got: dtype,
    });
    assert.equal(outcomes([...base, ...odd], base, { baseOnly: "drop" }).at(-1), "odd: dropped from base");
  }
});
