/** Merges from Meta's files give the bytes that merges from the real converter's output give. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { applyDelta, planMerge } from "../../src/apply/apply-delta.js";
import { compareModels } from "../../src/compare/compare-models.js";
import { makeDelta } from "../../src/make/make-delta.js";
import { verifyTarget } from "../../src/verify/verify-target.js";
import { config, converted, META_FIXTURES, sidesOf } from "../support/meta-sides.js";
import { readSafetensorsFile, type Tensor, writeModel } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

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

for (const [folder, golden] of [
  ["files-8", "files"],
  ["grouped", "grouped"],
] as const) {
  test(`${folder}: the same GGUF, without a model in between`, async (context) => {
    const { root, meta, base, delta } = sidesOf(context, folder, golden);
    const shapeOf = (part: string) => converted(golden).find(({ name }) => name.includes(part))?.shape ?? [];
    const { n_heads, n_kv_heads, n_layers } = JSON.parse(readFileSync(join(meta, "params.json"), "utf8"));
    const whole = {
      ...JSON.parse(readFileSync(join(delta, "config.json"), "utf8")),
      ...{ hidden_size: shapeOf("embed_tokens")[1], intermediate_size: shapeOf("gate_proj")[0] },
      ...{ num_hidden_layers: n_layers, num_attention_heads: n_heads, num_key_value_heads: n_kv_heads },
    };
    writeFileSync(join(delta, "config.json"), JSON.stringify(whole));
    const [a, b] = [join(root, "a", "m.gguf"), join(root, "b", "m.gguf")];
    for (const [from, target] of [
      [meta, a],
      [base, b],
    ] as const)
      await applyDelta({ base: from, delta, target, dtype: "F32" });
    const { isEqual, tensors } = await compareModels({ a, b });
    assert.ok(isEqual && tensors.equalBits === tensors.compared);
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
  cpSync(join(META_FIXTURES, "grouped"), join(root, "LLaMA", "13B"), { recursive: true });
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
  assert.match(notes.join("\n"), /LLaMA holds 13B, 7B; 7B was read, which has the width/);
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
