/** Sides with names behind a prefix, or with placeholders in the place of weights: what the commands make of them. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ApplyDeltaOptions, applyDelta } from "../../src/apply/apply-delta.js";
import { inspectModel } from "../../src/inspect/inspect-model.js";
import { makeDelta } from "../../src/make/make-delta.js";
import { silentReporter } from "../../src/progress.js";
import { verifyTarget } from "../../src/verify/verify-target.js";
import { type Tensor, temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const PAIR = tinyPair();

const behind = (prefix: string, tensors: readonly Tensor[]) =>
  tensors.map((tensor) => ({ ...tensor, name: prefix + tensor.name }));

type Format = "safetensors" | "torch";

/** Folders of a base and a delta, and a merge of them. */
function place(context: TestContext, base: readonly Tensor[], delta: readonly Tensor[], format?: Format) {
  const root = temporaryFolder(context);
  const path = (name: string) => join(root, name);
  const options = { base: path("base"), delta: path("delta"), target: path("target") };
  writeModel(options.base, base, { format: format ?? "safetensors" });
  writeModel(options.delta, delta, { format: format ?? "safetensors" });
  const merge = (more: Partial<ApplyDeltaOptions> = {}) => applyDelta({ ...options, ...more });
  return { ...options, path, merge, weights: () => readFileSync(join(options.target, "model.safetensors")) };
}

let plain: Promise<Buffer> | undefined;

/** What the merge of the two makes without any prefix. */
function plainWeights(context: TestContext): Promise<Buffer> {
  const { merge, weights } = place(context, PAIR.base, PAIR.delta);
  plain ??= merge().then(weights);
  return plain;
}

const SIDES: [base: string, delta: string, format: Format][] = [
  ["", "module.", "torch"],
  ["module.", "", "safetensors"],
  ["language_model.", "language_model.", "safetensors"],
  ["_orig_mod.", "base_model.model.", "torch"],
  ["model.", "", "safetensors"],
];
for (const [ofBase, ofDelta, format] of SIDES) {
  test(`base behind "${ofBase}", delta behind "${ofDelta}", ${format}`, async (context) => {
    const prefixed = place(context, behind(ofBase, PAIR.base), behind(ofDelta, PAIR.delta), format);
    const notes: string[] = [];
    const { baseCheck } = await prefixed.merge({
      reporter: { ...silentReporter, note: (text) => notes.push(text) },
    });
    assert.equal(baseCheck?.verdict, "exact");
    const { base, delta, target } = prefixed;
    assert.ok(prefixed.weights().equals(await plainWeights(context)));
    const said = notes.filter((text) => text.includes("is read as model.embed_tokens.weight"));
    assert.equal(said.length, [ofBase, ofDelta].filter((prefix) => prefix !== "").length);
    const { checks } = await verifyTarget({ target, sources: { base, delta } });
    assert.equal(checks.find(({ name }) => name === "sum")?.status, "ok");
  });
}

test("a base saved without its head", async (context) => {
  const bare = PAIR.base
    .filter(({ name }) => name !== "lm_head.weight")
    .map((tensor) => ({ ...tensor, name: tensor.name.replace("model.", "") }));
  const { merge } = place(context, bare, PAIR.delta);
  await refusal(() => merge(), "names-differ", {
    got: "only in the delta (1): lm_head.weight",
    hint: /^The base was saved without its head \(as LlamaModel/,
  });
  const { warnings, tensors } = await merge({ rules: { deltaOnly: "keep" } });
  assert.deepEqual(tensors, { added: PAIR.base.length - 1, copied: 1, grown: 0, dropped: 0 });
  assert.ok(warnings.some((text) => text.startsWith("lm_head.weight is only in the delta and was copied")));
});

test("a model that its config.json calls more than a LLaMA keeps its names", async (context) => {
  const delta = behind("language_model.", PAIR.delta);
  const { merge, delta: folder } = place(context, PAIR.base, delta);
  const config = JSON.stringify({ architectures: ["LlavaForConditionalGeneration"], vocab_size: 64 });
  writeFileSync(join(folder, "config.json"), config);
  await refusal(() => merge(), "names-differ");
});

test("a delta made of a tuned model behind a prefix has plain names", async (context) => {
  const plain = place(context, PAIR.base, PAIR.tuned);
  const prefixed = place(context, PAIR.base, behind("module.", PAIR.tuned));
  for (const { base, delta: tuned, target } of [plain, prefixed])
    await makeDelta({ base, tuned, delta: target });
  assert.ok(prefixed.weights().equals(plain.weights()));
});

test("inspect lists the names as they are, and measures the change", async (context) => {
  const { base, delta } = place(context, PAIR.base, behind("module.", PAIR.delta));
  const { tensors, change, notes } = await inspectModel({ model: delta, base });
  assert.equal(tensors[0]?.name, "module.model.embed_tokens.weight");
  assert.equal(change?.tensorsCompared, PAIR.base.length);
  assert.match(notes.join(), /module\.model\.embed_tokens\.weight is read as model\.embed_tokens\.weight/);
});

const placeholder = (tensor: Tensor): Tensor => ({ ...tensor, shape: [0], bytes: new Uint8Array() });
const EMPTIED: [string, base: readonly Tensor[], delta: readonly Tensor[]][] = [
  ["the delta", PAIR.base, PAIR.delta.map(placeholder)],
  ["the base", PAIR.base.map(placeholder), PAIR.delta],
  ["both", PAIR.base.map(placeholder), PAIR.delta.map(placeholder)],
  ["the matrices", PAIR.base, PAIR.delta.map((one) => (one.shape.length > 1 ? placeholder(one) : one))],
];
for (const [what, base, delta] of EMPTIED) {
  test(`placeholders of ZeRO-3 in ${what}`, async (context) => {
    const made = place(context, base, delta, "torch");
    const expected = {
      message: /ZeRO-3/,
      hint: /zero_to_fp32\.py/,
      got: /^\d+ of 21 tensors of shape \[0\]$/,
    };
    await refusal(() => made.merge(), "no-weights", expected);
    await refusal(
      () => makeDelta({ base: made.base, tuned: made.delta, delta: made.target }),
      "no-weights",
      expected,
    );
    const { notes } = await inspectModel({ model: base === PAIR.base ? made.delta : made.base });
    assert.match(notes.join(), /placeholders of DeepSpeed ZeRO-3/);
  });
}
