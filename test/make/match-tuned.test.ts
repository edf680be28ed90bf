/** What a delta is made of: every rule, and that applying the delta by its own rules gives every tensor back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { matchTuned, optionsToApply } from "../../src/make/match-tuned.js";
import type { TunedRules } from "../../src/make/options.js";
import { matchTensors } from "../../src/merge/match.js";
import type { MatchRules } from "../../src/merge/options.js";
import type { TensorView } from "../../src/tensor.js";
import { refusal } from "../support/refusal.js";
import { view } from "../support/views.js";

const EMBED = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";
const ROTARY = "model.layers.0.self_attn.rotary_emb.inv_freq";
const PROJECTOR = "model.mm_projector.weight";

const side = (tensors: readonly TensorView[], tiesEmbeddings = false) => ({ tensors, tiesEmbeddings });
const llama = (rows = 4) => [view(EMBED, [rows, 2]), view("model.norm.weight", [2]), view(HEAD, [rows, 2])];

const made = (
  base: readonly TensorView[],
  tuned: readonly TensorView[],
  rules: Partial<TunedRules> = {},
  ties = { base: false, tuned: false },
) =>
  matchTuned(side(base, ties.base), side(tuned, ties.tuned), {
    tunedOnly: "keep",
    baseOnly: "error",
    ...rules,
  });

const outline = ({ tensors, dropped }: ReturnType<typeof made>) => ({
  tensors: tensors.map(({ name, action }) => `${action} ${name}`),
  dropped: dropped.map(({ name, from }) => `${name} of the ${from}`),
});

/** The names that applying a delta gives, with the options it asks for. */
function namesAfter(
  base: readonly TensorView[],
  match: ReturnType<typeof made>,
  ties = { base: false, delta: false },
): string[] {
  const options = optionsToApply(match);
  const rules: MatchRules = {
    newRows: "zero",
    trimRows: false,
    deltaOnly: options.includes("--delta-only keep") ? "keep" : "error",
    baseOnly: options.includes("--base-only drop") ? "drop" : "error",
    replace: "none",
  };
  const delta = match.tensors.map(({ name, shape }) => view(name, shape));
  const applied = matchTensors(side(base, ties.base), side(delta, ties.delta), rules);
  return applied.tensors.map(({ name }) => name).sort();
}

const names = (tensors: readonly TensorView[]) => tensors.map(({ name }) => name).sort();

test("same names and shapes are subtracted", () => {
  const match = made(llama(), llama());
  assert.equal(match.operation, "subtract");
  assert.deepEqual(outline(match), {
    tensors: llama().map(({ name }) => `subtracted ${name}`),
    dropped: [],
  });
  assert.deepEqual(optionsToApply(match), []);
  assert.deepEqual(namesAfter(llama(), match), names(llama()));
});

test("rows that only the tuned model has are kept, the base counting as zeros", () => {
  const match = made(llama(4), llama(5));
  assert.deepEqual(
    match.tensors.map(({ action, newRows, reason, shape }) => ({ action, newRows, reason, shape })),
    [
      {
        action: "grown",
        newRows: "zero",
        reason: "1 row that only the tuned model has: kept as it is",
        shape: [5, 2],
      },
      { action: "subtracted", newRows: undefined, reason: null, shape: [2] },
      {
        action: "grown",
        newRows: "zero",
        reason: "1 row that only the tuned model has: kept as it is",
        shape: [5, 2],
      },
    ],
  );
  assert.match(made(llama(4), llama(7)).tensors[0]?.reason ?? "", /^3 rows .* kept as they are$/);
  assert.deepEqual(namesAfter(llama(4), match), names(llama(5)));
});

test("a tensor that only the tuned model has is copied, and applying needs an option", () => {
  const tuned = [...llama(), view("score.weight", [2, 2])];
  const match = made(llama(), tuned);
  assert.deepEqual(optionsToApply(match), ["--delta-only keep"]);
  assert.deepEqual(outline(match).tensors.at(-1), "copied score.weight");
  assert.deepEqual(namesAfter(llama(), match), names(tuned));
});

test("LLaVA's projector is copied, and applying knows it", () => {
  const tuned = [...llama(), view(PROJECTOR, [2, 2])];
  const match = made(llama(), tuned, { tunedOnly: "error" });
  assert.deepEqual(optionsToApply(match), []);
  assert.deepEqual(namesAfter(llama(), match), names(tuned));
});

test("a tensor that only the tuned model has can be dropped or refused", async () => {
  const tuned = [...llama(), view("score.weight", [2, 2])];
  assert.deepEqual(outline(made(llama(), tuned, { tunedOnly: "drop" })).dropped, [
    "score.weight of the tuned model",
  ]);
  await refusal(() => made(llama(), tuned, { tunedOnly: "error" }), "names-differ", {
    got: "only in the tuned model (1): score.weight",
    hint: /--tuned-only keep/,
  });
});

test("a tensor that only the base has is refused, or dropped here and when the delta is applied", async () => {
  const base = [...llama(), view("extra.bias", [2])];
  await refusal(() => made(base, llama()), "names-differ", {
    message: /^Base and tuned model don't hold the same tensors\.$/,
    got: "only in the base (1): extra.bias",
    hint: /--base-only drop/,
  });
  const match = made(base, llama(), { baseOnly: "drop" });
  assert.deepEqual(optionsToApply(match), ["--base-only drop"]);
  assert.deepEqual(outline(match).dropped, ["extra.bias of the base"]);
  assert.deepEqual(namesAfter(base, match), names(llama()));
});

test("rotary buffers: a difference where both have one, nothing where one side has", () => {
  const rotary = view(ROTARY, [4], "F32");
  const both = made([...llama(), rotary], [...llama(), rotary]);
  assert.ok(outline(both).tensors.includes(`subtracted ${ROTARY}`));
  const inTuned = made(llama(), [...llama(), rotary], { tunedOnly: "error" });
  assert.deepEqual(outline(inTuned).dropped, [`${ROTARY} of the tuned model`]);
  const inBase = made([...llama(), rotary], llama());
  assert.deepEqual(outline(inBase).dropped, [`${ROTARY} of the base`]);
  for (const match of [both, inTuned, inBase]) assert.deepEqual(optionsToApply(match), []);
  assert.deepEqual(namesAfter(llama(), inTuned), names(llama()));
});

test("a tied head, on either side", () => {
  const headless = llama().slice(0, 2);
  const tiedBase = made(headless, llama(), {}, { base: true, tuned: false });
  assert.equal(tiedBase.tensors.find(({ name }) => name === HEAD)?.base?.name, HEAD);
  assert.deepEqual(namesAfter(headless, tiedBase, { base: true, delta: false }), names(llama()));
  const tiedTuned = made(llama(), headless, {}, { base: false, tuned: true });
  assert.deepEqual(tiedTuned.dropped, [
    { name: HEAD, from: "base", reason: "the tuned model ties it to embed_tokens, and so will the delta" },
  ]);
  assert.deepEqual(optionsToApply(tiedTuned), []);
  assert.deepEqual(namesAfter(llama(), tiedTuned, { base: false, delta: true }), names(headless));
});

test("swapped sides and other models are named for what they are", async () => {
  await refusal(() => made(llama(5), llama(4)), "shapes-differ", {
    message: /^Tensors of base and tuned model differ in shape\.$/,
    hint: /the two are swapped\. Give the original model as --base, the tuned one as --tuned\./,
  });
  await refusal(() => made([view("w", [2])], [view("w", [3])]), "shapes-differ", {
    hint: /give the base the tuned model was made from/,
  });
  await refusal(() => made(llama(), [view(EMBED, [4, 2], "I8"), ...llama().slice(1)]), "unsupported-dtype", {
    message: /^The tuned model /,
  });
});
