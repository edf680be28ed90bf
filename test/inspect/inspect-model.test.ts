/** What inspecting finds: on the example, and on models made for the purpose. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { globToRegExp, inspectModel } from "../../src/inspect/inspect-model.js";
import { projectPath } from "../support/fixture-path.js";
import {
  floats,
  listing,
  temporaryFolder,
  tinyPair,
  tinyShapes,
  writeModel,
} from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const BASE = projectPath("examples/tiny/base");
const DELTA = projectPath("examples/tiny/delta");

test("the example's base", async () => {
  const document = await inspectModel({ model: BASE });
  const { tensors, config, tokenizer, ...rest } = document;
  assert.deepEqual(rest, {
    model: BASE,
    formats: ["safetensors"],
    parameters: 242_240,
    bytes: 488_480,
    dtypes: [{ dtype: "F16", tensors: 39, elements: 242_240, bytes: 484_480 }],
    shards: [{ file: "model.safetensors", bytes: 488_480, tensors: 39 }],
    filter: null,
    tensorCount: 39,
    release: { recognized: null, doubts: [] },
    change: null,
    notes: [],
  });
  assert.deepEqual(tensors[0], {
    name: "model.embed_tokens.weight",
    dtype: "F16",
    shape: [320, 64],
    bytes: 320 * 64 * 2,
    file: "model.safetensors",
  });
  assert.equal(tensors.length, 39);
  assert.equal(config?.hiddenSize, 64);
  assert.equal(config?.contextTokens, 2048);
  assert.deepEqual([tokenizer.pieces, tokenizer.rows, tokenizer.problems], [320, 320, []]);
});

test("the example's delta, with its base", async () => {
  const { shards, formats, change, release } = await inspectModel({ model: DELTA, base: BASE });
  assert.deepEqual(formats, ["PyTorch .bin"]);
  assert.deepEqual(
    shards.map(({ tensors }) => tensors),
    [16, 18, 5],
  );
  assert.equal(change?.base, BASE);
  assert.equal(change?.comparedAs, "delta");
  assert.deepEqual(
    change?.parts.map(({ part, layer }) => layer ?? part),
    ["embed", 0, 1, 2, 3, "head"],
  );
  // The tuned model was made with changes of a twentieth (examples/make_tiny.py).
  for (const { ratio } of change?.parts ?? []) assert.ok(ratio !== null && ratio > 0.045 && ratio < 0.055);
  assert.equal(change?.elementsSampled, 242_240);
  assert.equal(release.recognized, null);
});

test("a document goes through JSON unchanged", async () => {
  const document = await inspectModel({ model: DELTA, base: BASE });
  assert.deepEqual(JSON.parse(JSON.stringify(document)), document);
});

test("nothing is touched", async (t) => {
  const folder = temporaryFolder(t);
  const { base, delta } = tinyPair();
  const [basePath, deltaPath] = [writeModel(join(folder, "b"), base), writeModel(join(folder, "d"), delta)];
  const before = listing(folder);
  await inspectModel({ model: deltaPath, base: basePath });
  assert.deepEqual(listing(folder), before);
});

test("a filter lists the tensors whose whole names it matches; counts stay those of the model", async () => {
  const { tensors, tensorCount, parameters, filter } = await inspectModel({
    model: DELTA,
    filter: "*.q_proj.*",
  });
  assert.deepEqual(
    tensors.map(({ name }) => name),
    [0, 1, 2, 3].map((layer) => `model.layers.${layer}.self_attn.q_proj.weight`),
  );
  assert.deepEqual([tensorCount, parameters, filter], [39, 242_240, "*.q_proj.*"]);
  assert.equal((await inspectModel({ model: DELTA, filter: "q_proj" })).tensors.length, 0);
});

test("globs: * and ?, everything else is itself", () => {
  const matches = (glob: string, name: string) => globToRegExp(glob).test(name);
  assert.ok(matches("*", "") && matches("*", "a.b\nc") && matches("model.layers.?.*", "model.layers.7.x"));
  assert.ok(!matches("model.layers.?.*", "model.layers.17.x"));
  assert.ok(!matches("a.c", "abc") && matches("a+(b)[c]{1}^$|\\", "a+(b)[c]{1}^$|\\"));
  assert.ok(!matches("b", "abc") && !matches("", "a") && matches("?", "😀"));
});

test("parameters leave rotary buffers out; dtypes and shards count them", async (t) => {
  const { base } = tinyPair(2, tinyShapes(8, 4, 1));
  const inverse = floats("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", [2], [1, 0.01]);
  const model = writeModel(join(temporaryFolder(t), "m"), [...base, inverse], { format: "torch", shards: 2 });
  const { parameters, dtypes, shards } = await inspectModel({ model });
  assert.equal(parameters, 2 * 8 * 4 + 4 * 16 + 3 * 32 + 3 * 4);
  assert.deepEqual(
    dtypes.map(({ dtype, tensors, elements, bytes }) => [dtype, tensors, elements, bytes]),
    [
      ["F16", base.length, parameters, parameters * 2],
      ["F32", 1, 2, 8],
    ],
  );
  assert.equal(
    shards.reduce((sum, { tensors }) => sum + tensors, 0),
    base.length + 1,
  );
});

test("a release is recognised by the folder's name, unless the tensors say otherwise", async (t) => {
  const { base } = tinyPair();
  const model = writeModel(join(temporaryFolder(t), "vicuna-7b-delta-v1.1"), base);
  const { release } = await inspectModel({ model });
  assert.equal(release.recognized, null);
  assert.match(release.doubts.join(), /its embedding has 64 rows, not 32,000/);
  const norm = [floats("model.norm.weight", "F16", [4], [1, 1, 1, 1])];
  const bare = writeModel(join(temporaryFolder(t), "vicuna-7b-v1.5"), norm, { files: {} });
  const named = await inspectModel({ model: bare });
  assert.equal(named.release.recognized?.release.repository, "lmsys/vicuna-7b-v1.5");
  assert.equal(named.release.recognized?.sureness, "likely");
  assert.equal(named.config, null);
});

test("errors are those of opening, and both sides are named", async (t) => {
  const folder = temporaryFolder(t);
  await refusal(() => inspectModel({ model: join(folder, "none") }), "source-not-found");
  const { base } = tinyPair(1, tinyShapes(8, 4, 1));
  const model = writeModel(join(folder, "model"), base);
  await refusal(() => inspectModel({ model, base: join(folder, "none") }), "source-not-found");
  const foreign = writeModel(
    join(folder, "foreign"),
    base.map((tensor) => ({ ...tensor, name: `gpt.${tensor.name}` })),
  );
  await refusal(() => inspectModel({ model, base: foreign }), "names-differ", { file: foreign });
  const broken = writeModel(join(folder, "broken"), base, { files: { "config.json": "{" } });
  await refusal(() => inspectModel({ model: broken }), "bad-json");
});
