/** Matching: what each rule makes of tensors that both sides have, of rows, ties and buffers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { matchTensors } from "../../src/merge/match.js";
import type { DType } from "../../src/tensor.js";
import { base, DEFAULT, EMBED, HEAD, llama, match, outcomes, ROTARY, side } from "../support/matching.js";
import { refusal } from "../support/refusal.js";
import { view } from "../support/views.js";

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
  assert.equal(head?.base?.pieces, ours[0]?.pieces);
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
    const { tensors, dropped } = matchTensors(side(ours, true), side(theirs, true), DEFAULT);
    assert.deepEqual(
      tensors.map(({ name, action }) => `${name}: ${action}`),
      headless().map(({ name }) => `${name}: added`),
    );
    // Loaders differ in what they make of a head beside a tied embedding.
    assert.equal(dropped.length, ours.length + theirs.length > 2 * headless().length ? 1 : 0);
  }
});

test("a head that is missing where nothing is tied is missing", async () => {
  await refusal(() => match(llama(), headless()), "names-differ", { got: `only in the base (1): ${HEAD}` });
  await refusal(() => match(headless(), llama()), "names-differ", { got: `only in the delta (1): ${HEAD}` });
  const { dropped } = matchTensors(side(headless()), side(llama(), true), DEFAULT);
  assert.deepEqual(
    dropped.map(({ name, from }) => [name, from]),
    [[HEAD, "delta"]],
  );
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
