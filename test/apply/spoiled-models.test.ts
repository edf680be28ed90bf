/** Whole merges of models that were spoiled on purpose: which are refused, with which code, and what is named. */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { applyDelta } from "../../src/apply/apply-delta.js";
import { isApplyDeltaError } from "../../src/errors.js";
import { floats, readSafetensorsFile, temporaryFolder, writeModel } from "../support/model-folder.js";
import { decodeNumbers, roundTo } from "../support/numbers.js";
import { type Model, makePair, SPOILED_MODELS, type Spoiled, shapesOf } from "../support/spoiled-models.js";

const SHAPES = shapesOf(false);
const CONFIG = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: 64,
  intermediate_size: 172,
  num_attention_heads: 4,
  num_hidden_layers: 4,
  vocab_size: 192,
};

function writeSide(folder: string, model: Model): string {
  const tensors = [...model].map(([name, values]) =>
    floats(name, "F16", SHAPES.get(name) as number[], values),
  );
  return writeModel(folder, tensors, { shards: 2, files: { "config.json": JSON.stringify(CONFIG) } });
}

/** Writes bytes over a shard's tensors, as a broken download does. */
function spoilFile(folder: string, { shard, from, bytes }: NonNullable<Spoiled["overwrite"]>): void {
  const path = join(folder, `model-0000${shard + 1}-of-00002.safetensors`);
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const at = start + Math.floor(from * (file.length - start));
  const fd = openSync(path, "r+");
  const zeros = Buffer.alloc(Math.floor(0.8 * (file.length - start)));
  writeSync(fd, bytes.length === 0 ? zeros : bytes, 0, null, at);
  closeSync(fd);
}

function place(context: TestContext, { base, delta, overwrite }: Spoiled) {
  const root = temporaryFolder(context);
  const folders = { base: writeSide(join(root, "base"), base), delta: writeSide(join(root, "delta"), delta) };
  if (overwrite !== undefined) spoilFile(folders[overwrite.side], overwrite);
  return { ...folders, target: join(root, "target") };
}

/** What each case ends in; null: a target. */
const CODES: Readonly<Record<string, string | null>> = {
  "the right base": null,
  "another model": "wrong-base",
  "one of two shards from another model": "wrong-base",
  "two of four layers from another model": "wrong-base",
  "one matrix from another model": "wrong-base",
  "all norms doubled": "wrong-base",
  "all norms from another model": "wrong-base",
  "three rows of a matrix replaced": "wrong-base",
  "q and k in Meta's row order": "wrong-base",
  "zeros in four fifths of a base shard": "damaged-weights",
  "zeros in four fifths of a delta shard": "damaged-weights",
  "0xFF in a base shard": "not-finite",
  "an error page in a delta shard": "damaged-weights",
  "embedding and head as whole values": null,
  "the base subtracted twice from the embedding": "not-a-delta",
  "rounded through bfloat16": null,
  "tuned on by 1e-3": null,
  "one layer tuned on": "wrong-base",
  "NaN in a base matrix": "not-finite",
  "base and delta swapped": "swapped",
  "a whole model as delta": "not-a-delta",
  "another delta as base": "wrong-base",
};

for (const [name, { make }] of Object.entries(SPOILED_MODELS)) {
  test(`${name}: ${CODES[name] ?? "a target"}`, async (context) => {
    const spoiled = make(makePair("F16", 1e-3, false));
    const folders = place(context, spoiled);
    const outcome = await applyDelta(folders).catch((error: unknown) => error);
    if (CODES[name] === null) {
      assert.ok(!(outcome instanceof Error), String(outcome));
      return;
    }
    assert.ok(isApplyDeltaError(outcome), `${name} gives a target`);
    assert.equal(outcome.code, CODES[name]);
    const text = outcome.format();
    if (spoiled.named !== null && spoiled.named.length > 0)
      assert.ok(text.includes(spoiled.named[0] as string), text);
    assert.ok((outcome.details.hint ?? "").length > 0);
  });
}

test("the cause is said: a file, doubled norms, rows in Meta's order, zeros and where they are", async (context) => {
  const refusal = async (name: string) => {
    const { make } = SPOILED_MODELS[name] as (typeof SPOILED_MODELS)[string];
    const outcome = await applyDelta(place(context, make(makePair("F16", 1e-3, false)))).catch(
      (e: unknown) => e,
    );
    assert.ok(isApplyDeltaError(outcome));
    return outcome;
  };
  const file = await refusal("one of two shards from another model");
  assert.match(file.message, /A part of the base .*\(model-00002-of-00002\.safetensors\)/);
  const zeros = await refusal("zeros in four fifths of a base shard");
  assert.match(zeros.message, /^Zeros stand where the base's weights should be\.$/);
  assert.ok((zeros.details.offsetBytes ?? 0) > 0 && /model-00002/.test(zeros.details.file ?? ""));
  const page = await refusal("an error page in a delta shard");
  assert.match(page.message, /^Text stands where the delta's weights should be\.$/);
  const rows = await refusal("q and k in Meta's row order");
  assert.match(rows.message, /q_proj and k_proj with their rows in Meta/);
});

test("embeddings that the delta holds whole replace the base's; --replace none adds them, with a warning", async (context) => {
  const pair = makePair("F16", 1e-3, false);
  const spoiled = (
    SPOILED_MODELS["embedding and head as whole values"] as (typeof SPOILED_MODELS)[string]
  ).make(pair);
  const folders = place(context, spoiled);
  await applyDelta(folders);
  const tensors = readSafetensorsFile(join(folders.target, "model.safetensors"));
  const sumOf = (name: string) =>
    pair.base.get(name)?.map((value, i) => roundTo("F16", value + (pair.delta.get(name)?.[i] ?? 0)));
  for (const { name, bytes } of tensors) {
    const isWhole = /embed_tokens|lm_head/.test(name);
    assert.deepEqual(decodeNumbers("F16", bytes), isWhole ? pair.tuned.get(name) : sumOf(name), name);
  }
  const added = await applyDelta({
    ...folders,
    target: `${folders.target}-2`,
    rules: { replace: "none" },
    force: true,
  });
  assert.match(added.warnings.join(), /their sum is not a model's/);
  const sum = readSafetensorsFile(join(`${folders.target}-2`, "model.safetensors"));
  const embedding = sum.find(({ name }) => name === "model.embed_tokens.weight");
  const [b, d] = [pair.base, spoiled.delta].map(
    (model) => model.get("model.embed_tokens.weight") as Float64Array,
  );
  assert.deepEqual(
    decodeNumbers("F16", embedding?.bytes ?? new Uint8Array()),
    b?.map((value, i) => roundTo("F16", value + (d?.[i] ?? 0))),
  );
});
