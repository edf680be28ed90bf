/** Merges from Meta's files give the bytes that merges from the real converter's output give. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { applyDelta, planMerge } from "../../src/apply/apply-delta.js";
import { compareModels } from "../../src/compare/compare-models.js";
import { makeDelta } from "../../src/make/make-delta.js";
import type { SumDType } from "../../src/tensor.js";
import { verifyTarget } from "../../src/verify/verify-target.js";
import { projectPath } from "../support/fixture-path.js";
import {
  floats,
  readSafetensorsFile,
  type Tensor,
  temporaryFolder,
  writeModel,
} from "../support/model-folder.js";
import { decodeNumbers, roundTo, seededNormals } from "../support/numbers.js";
import { refusal } from "../support/refusal.js";
import { llamaPieces, sentencePieceModel } from "../support/sentencepiece-samples.js";

const FIXTURES = projectPath("test/fixtures/meta");
const ROWS = 40;

const config = (torchDType: string) => ({
  "config.json": JSON.stringify({
    architectures: ["LlamaForCausalLM"],
    torch_dtype: torchDType,
    vocab_size: ROWS,
  }),
  "tokenizer.model": sentencePieceModel(llamaPieces(ROWS)).toString("latin1"),
});

/** What the converter made of a folder, without the buffers that loaders compute. */
function converted(golden: string): Tensor[] {
  return readSafetensorsFile(join(FIXTURES, `${golden}.safetensors`)).filter(
    ({ name }) => !/inv_freq$/.test(name),
  );
}

/** Each tensor with its numbers changed, in its own dtype. */
function changed(tensors: readonly Tensor[], change: (value: number) => number): Tensor[] {
  return tensors.map(({ name, dtype, shape, bytes }) => {
    const values = decodeNumbers(dtype as SumDType, bytes).map((value) =>
      roundTo(dtype as SumDType, change(value)),
    );
    return floats(name, dtype as SumDType, shape, values);
  });
}

interface Sides {
  readonly root: string;
  /** Meta's folder, and the converted model. */
  readonly meta: string;
  readonly base: string;
  readonly tuned: string;
  readonly delta: string;
}

/** `base`: what the delta is made from; by default what the converter makes. */
function sidesOf(context: TestContext, folder: string, golden: string, base = converted(golden)): Sides {
  const root = temporaryFolder(context);
  const normal = seededNormals(5);
  // By less than half of each value, so that every sum is exact.
  const tuned = changed(base, (value) => value * (1 + 0.1 * Math.tanh(normal())));
  const numbers = (tensors: readonly Tensor[]) =>
    tensors.map(({ dtype, bytes }) => decodeNumbers(dtype as SumDType, bytes));
  const [from, to] = [numbers(base), numbers(tuned)];
  const delta = base.map(({ name, dtype, shape }, i) =>
    floats(
      name,
      dtype as SumDType,
      shape,
      (to[i] ?? []).map((value, at) => value - (from[i]?.[at] ?? 0)) as Float64Array,
    ),
  );
  const files = config(base[0]?.dtype === "BF16" ? "bfloat16" : "float16");
  const write = (name: string, tensors: readonly Tensor[]) =>
    writeModel(join(root, name), tensors, { files });
  cpSync(join(FIXTURES, folder), join(root, "LLaMA", "7B"), { recursive: true });
  writeFileSync(join(root, "LLaMA", "tokenizer.model"), files["tokenizer.model"], "latin1");
  return {
    root,
    meta: join(root, "LLaMA", "7B"),
    base: write("base", converted(golden)),
    tuned: write("tuned", tuned),
    delta: write("delta", delta),
  };
}

const tensorsOf = (folder: string) =>
  new Map(readSafetensorsFile(join(folder, "model.safetensors")).map((tensor) => [tensor.name, tensor]));
const weightsOf = (folder: string) => readFileSync(join(folder, "model.safetensors"));

for (const [folder, golden] of [
  ["files-1", "files"],
  ["files-2", "files"],
  ["files-4", "files"],
  ["files-8", "files"],
  ["grouped", "grouped"],
  ["newer", "newer"],
] as const) {
  test(`${folder}: the same target, the base proven`, async (context) => {
    const { root, meta, base, tuned, delta } = sidesOf(context, folder, golden);
    const [target, other] = [join(root, "target"), join(root, "other")];
    const { baseCheck, counted } = await applyDelta({ base: meta, delta, target });
    assert.equal(baseCheck?.verdict, "exact", baseCheck?.sentence);
    assert.equal(counted.inexact, 0);
    await applyDelta({ base, delta, target: other });
    assert.ok(weightsOf(target).equals(weightsOf(other)));
    assert.deepEqual(tensorsOf(target), tensorsOf(tuned));
    const verified = await verifyTarget({ target, sources: { base: meta, delta } });
    assert.ok(
      verified.checks.every(({ status }) => status !== "failed"),
      JSON.stringify(verified.checks),
    );
  });
}

test("compare finds the two equal, and what differs", async (context) => {
  const { meta, base, tuned } = sidesOf(context, "files-4", "files");
  const equal = await compareModels({ a: meta, b: base });
  assert.ok(equal.isEqual, JSON.stringify(equal));
  assert.deepEqual(
    equal.files?.map(({ file }) => file),
    ["tokenizer.model"],
  );
  const { isEqual, tensors } = await compareModels({ a: tuned, b: meta });
  assert.deepEqual([isEqual, tensors.different], [false, 12]);
});

test("a delta that is made from it is the one made from the converted model", async (context) => {
  const { root, meta, base, tuned } = sidesOf(context, "files-2", "files");
  for (const [from, target] of [
    [meta, "of-meta"],
    [base, "of-base"],
  ] as const)
    await makeDelta({ base: from, tuned, delta: join(root, target) });
  assert.ok(weightsOf(join(root, "of-meta")).equals(weightsOf(join(root, "of-base"))));
});

test("a dry run names every tensor", async (context) => {
  const { root, meta, delta } = sidesOf(context, "files-2", "files");
  const plan = await planMerge({ base: meta, delta, target: join(root, "target") });
  assert.deepEqual([plan.tensors.added, plan.baseCheck?.verdict, plan.notAdded], [12, "exact", []]);
});

test("of several sizes in the base's folder it is the delta's", async (context) => {
  const { root, delta } = sidesOf(context, "files-2", "files");
  cpSync(join(FIXTURES, "grouped"), join(root, "LLaMA", "13B"), { recursive: true });
  const notes: string[] = [];
  const reporter = {
    detail: () => {},
    note: (text: string) => void notes.push(text),
    warn: () => {},
    progress: () => {},
    progressDone: () => {},
  };
  const { baseCheck } = await applyDelta({
    base: join(root, "LLaMA"),
    delta,
    target: join(root, "target"),
    reporter,
  });
  assert.equal(baseCheck?.verdict, "exact");
  assert.match(notes.join("\n"), /LLaMA holds 13B, 7B; 7B has the delta's shapes/);
});

test("as a delta it is refused", async (context) => {
  const { root, meta, base } = sidesOf(context, "files-2", "files");
  await refusal(() => applyDelta({ base, delta: meta, target: join(root, "target") }), "not-a-delta", {
    file: meta,
    got: "Meta's original weights, 2 files",
    hint: /^Give this one as --base/,
  });
});

/** Rows of q and k as Meta has them: a conversion that forgot to put them in order. */
function unpermuted(tensors: readonly Tensor[], heads: number): Tensor[] {
  return tensors.map((tensor) => {
    const [rows = 0] = tensor.shape;
    if (!/\.[qk]_proj\./.test(tensor.name)) return tensor;
    const [headRows, rowBytes] = [rows / heads, tensor.bytes.length / rows];
    const bytes = new Uint8Array(tensor.bytes.length);
    for (let row = 0; row < rows; row++) {
      const [head, inside] = [Math.floor(row / headRows), row % headRows];
      const [half, i] = [Math.floor(inside / (headRows / 2)), inside % (headRows / 2)];
      const to = head * headRows + 2 * i + half;
      bytes.set(tensor.bytes.subarray(row * rowBytes, (row + 1) * rowBytes), to * rowBytes);
    }
    return { ...tensor, bytes };
  });
}

test("a conversion with q and k in Meta's order of rows is told, and what to do", async (context) => {
  const { root, delta } = sidesOf(context, "files-1", "files");
  const params = { hidden_size: 48, num_attention_heads: 8 };
  writeFileSync(
    join(delta, "config.json"),
    JSON.stringify({ ...JSON.parse(config("float16")["config.json"]), ...params }),
  );
  const odd = writeModel(join(root, "odd"), unpermuted(converted("files"), 8), { files: config("float16") });
  await refusal(() => applyDelta({ base: odd, delta, target: join(root, "target") }), "wrong-base", {
    message: /q_proj and k_proj with their rows in Meta's order/,
    hint: /^Give Meta's own files as the base, which need no conversion/,
  });
});

test("a delta of such a conversion doesn't fit Meta's files either, which is told", async (context) => {
  const odd = unpermuted(converted("files"), 8);
  const { root, meta, delta } = sidesOf(context, "files-2", "files", odd);
  await refusal(() => applyDelta({ base: meta, delta, target: join(root, "target") }), "wrong-base", {
    message: /with their rows in transformers' order/,
    hint: /conversion of the base that the delta was made from/,
  });
});
