/** What comparing two models finds beside their numbers: names, shapes, dtypes, config, tokenizer, mistakes. */
import assert from "node:assert/strict";
import { cpSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type CompareOptions, compareModels } from "../../src/compare/compare-models.js";
import { silentReporter } from "../../src/progress.js";
import { projectPath } from "../support/fixture-path.js";
import {
  floats,
  listing,
  type Tensor,
  temporaryFolder,
  tinyPair,
  writeModel,
} from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const PAIR = tinyPair();
const NORM = "model.norm.weight";

/** Two models in a folder of their own, the second with what is changed. */
function place(context: TestContext, b: readonly Tensor[] = PAIR.tuned) {
  const root = temporaryFolder(context);
  const paths = {
    a: writeModel(join(root, "a"), PAIR.tuned),
    b: writeModel(join(root, "b"), b, { format: "torch", shards: 3 }),
  };
  return {
    root,
    ...paths,
    compare: (more: Partial<CompareOptions> = {}) => compareModels({ ...paths, ...more }),
  };
}

const replaced = (tensor: Tensor) => PAIR.tuned.map((old) => (old.name === tensor.name ? tensor : old));

test("equal bits in other formats and shards are equal, and nothing is touched", async (t) => {
  const { root, compare } = place(t);
  const before = listing(root);
  const comparison = await compare();
  assert.deepEqual(listing(root), before);
  assert.equal(comparison.isEqual, true);
  assert.deepEqual(comparison.tensors, { compared: 21, equalBits: 21, withinTolerance: 0, different: 0 });
  assert.deepEqual([comparison.differing, comparison.notes, comparison.hints], [[], [], []]);
  assert.deepEqual(JSON.parse(JSON.stringify(comparison)), comparison);
});

test("without a tolerance bits count, with one values do", async (t) => {
  const ones = (value: number) => floats(NORM, "F16", [32], [value, ...new Array<number>(31).fill(1)]);
  const root = temporaryFolder(t);
  const a = writeModel(join(root, "a"), replaced(ones(-0)));
  const b = writeModel(join(root, "b"), replaced(ones(0)));
  const bits = await compareModels({ a, b });
  assert.equal(bits.isEqual, false);
  const [only] = bits.differing;
  assert.deepEqual([only?.differentBits, only?.differentValues, only?.largestAbsolute], [1, 0, null]);
  const values = await compareModels({ a, b, tolerance: 0 });
  assert.equal(values.isEqual, true);
  assert.deepEqual(values.tensors, { compared: 21, equalBits: 20, withinTolerance: 1, different: 0 });
  assert.equal((await compareModels({ a, b, relativeTolerance: 0 })).isEqual, true);
});

test("equal values in another dtype differ in bits", async (t) => {
  const values = new Array<number>(32).fill(0.5);
  const root = temporaryFolder(t);
  const a = writeModel(join(root, "a"), replaced(floats(NORM, "F16", [32], values)));
  const b = writeModel(join(root, "b"), replaced(floats(NORM, "F64", [32], values)));
  const { isEqual, differing } = await compareModels({ a, b });
  assert.equal(isEqual, false);
  assert.deepEqual(differing[0]?.dtypes, { a: "F16", b: "F64" });
  assert.deepEqual([differing[0]?.differentBits, differing[0]?.differentValues], [null, 0]);
  assert.equal((await compareModels({ a, b, tolerance: 0 })).isEqual, true);
});

test("the most different tensors come first, what isn't finite before all", async (t) => {
  const changed = ["q", "k", "v"].map((p, i) => {
    const name = `model.layers.0.self_attn.${p}_proj.weight`;
    return floats(name, "F16", [32, 32], new Array<number>(1024).fill([2, 3, Number.NaN][i] ?? 0));
  });
  const { compare } = place(
    t,
    PAIR.tuned.map((old) => changed.find(({ name }) => name === old.name) ?? old),
  );
  const { differing } = await compare();
  assert.deepEqual(
    differing.map(({ name }) => name.split(".")[4]),
    ["v_proj", "k_proj", "q_proj"],
  );
  assert.equal(differing[0]?.notFinite, 1024);
});

test("names of one side, shapes and dtypes that can't be compared are differences", async (t) => {
  const others = PAIR.tuned
    .filter(({ name }) => name !== NORM)
    .map((old): Tensor => {
      if (old.name === "lm_head.weight") return { ...old, shape: [32, 64] };
      if (old.name === "model.embed_tokens.weight")
        return { ...old, dtype: "I8", bytes: new Uint8Array(64 * 32) };
      return old;
    });
  const { compare } = place(t, [...others, floats("score.weight", "F16", [1], [1])]);
  const comparison = await compare({ tolerance: 1e9 });
  assert.equal(comparison.isEqual, false);
  assert.deepEqual([comparison.onlyInA, comparison.onlyInB], [[NORM], ["score.weight"]]);
  assert.deepEqual(comparison.otherShapes, [{ name: "lm_head.weight", a: [64, 32], b: [32, 64] }]);
  assert.deepEqual(comparison.otherDTypes, [{ name: "model.embed_tokens.weight", a: "F16", b: "I8" }]);
  assert.equal(comparison.tensors.compared, 18);
});

test("each of those alone is enough", async (t) => {
  assert.equal((await place(t, PAIR.tuned.slice(1)).compare()).isEqual, false);
  assert.equal((await place(t, [...PAIR.tuned, floats("x", "F16", [1], [1])]).compare()).isEqual, false);
});

test("models without one name in common differ", async (t) => {
  const { compare } = place(
    t,
    PAIR.tuned.map((tensor) => ({ ...tensor, name: `gpt.${tensor.name}` })),
  );
  const { isEqual, tensors, onlyInA, onlyInB, hints } = await compare();
  assert.deepEqual(
    [isEqual, tensors.compared, onlyInA.length, onlyInB.length, hints],
    [false, 0, 21, 21, []],
  );
});

test("rotary buffers of one side are a note; of both sides they are compared", async (t) => {
  const inverse = (value: number) =>
    floats("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", [1], [value]);
  const alone = await place(t, [...PAIR.tuned, inverse(1)]).compare();
  assert.equal(alone.isEqual, true);
  assert.match(alone.notes.join(), /^only b has 1 rotary buffer/);
  const root = temporaryFolder(t);
  const a = writeModel(join(root, "a"), [...PAIR.tuned, inverse(2)]);
  const b = writeModel(join(root, "b"), [...PAIR.tuned, inverse(1)]);
  assert.equal((await compareModels({ a, b })).isEqual, false);
});

test("config and tokenizer count, unless they are left out", async (t) => {
  const { b, compare } = place(t);
  writeFileSync(join(b, "config.json"), '{"model_type": "llama", "vocab_size": 65}');
  const { isEqual, files, tensors } = await compare();
  assert.deepEqual([isEqual, tensors.different], [false, 0]);
  assert.deepEqual(
    files?.filter(({ isDifferent }) => isDifferent).map(({ file }) => file),
    ["config.json"],
  );
  const weights = await compare({ weightsOnly: true });
  assert.deepEqual([weights.isEqual, weights.files], [true, null]);
});

test("a delta against a model is recognised, on either side", async (t) => {
  const [model, delta] = [projectPath("examples/tiny/base"), projectPath("examples/tiny/delta")];
  assert.match((await compareModels({ a: model, b: delta })).hints.join(), /^b looks like a delta/);
  assert.match((await compareModels({ a: delta, b: model })).hints.join(), /^a looks like a delta/);
  const { compare } = place(t, PAIR.base);
  assert.deepEqual((await compare()).hints, []);
});

test("one model twice is refused, by whatever paths; a copy is not", async (t) => {
  const { root, a } = place(t);
  symlinkSync(a, join(root, "link"));
  await refusal(() => compareModels({ a, b: a }), "bad-usage", { got: "one path twice" });
  await refusal(() => compareModels({ a, b: join(root, "link") }), "bad-usage", { got: /by two paths/ });
  await refusal(() => compareModels({ a, b: join(a, "model.safetensors") }), "bad-usage");
  cpSync(a, join(root, "copy"), { recursive: true });
  assert.equal((await compareModels({ a, b: join(root, "copy") })).isEqual, true);
});

test("errors are those of opening, and of files that can't be read", async (t) => {
  const { root, a, b, compare } = place(t);
  await refusal(() => compareModels({ a, b: join(root, "none") }), "source-not-found", {
    file: join(root, "none"),
  });
  await refusal(() => compareModels({ a: root, b }), "no-weights");
  writeFileSync(join(b, "config.json"), "{");
  await refusal(compare, "bad-json", { file: join(b, "config.json") });
  rmSync(join(b, "pytorch_model-00002-of-00003.bin"));
  await refusal(compare, "shard-missing");
});

test("an abort before and in the middle", async (t) => {
  const { compare } = place(t);
  await refusal(() => compare({ signal: AbortSignal.abort() }), "interrupted", {
    message: /the comparison is not complete/,
  });
  const controller = new AbortController();
  let isDone = false;
  const reporter = {
    ...silentReporter,
    detail: () => queueMicrotask(() => controller.abort()),
    progressDone: () => {
      isDone = true;
    },
  };
  await refusal(() => compare({ signal: controller.signal, reporter }), "interrupted");
  assert.ok(isDone || controller.signal.aborted);
});

test("progress ends with all that there is to compare", async (t) => {
  const updates: { bytesDone: number; bytesTotal: number; current: string }[] = [];
  const { compare } = place(t);
  await compare({ reporter: { ...silentReporter, progress: (update) => void updates.push(update) } });
  const last = updates.at(-1);
  assert.equal(last?.bytesDone, last?.bytesTotal);
  assert.equal(
    last?.bytesTotal,
    PAIR.tuned.reduce((sum, { bytes }) => sum + bytes.length, 0),
  );
  assert.equal(last?.current, "model.safetensors");
});
