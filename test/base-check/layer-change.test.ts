/** The size of a change: computed by hand on small models, and close to it where it is sampled. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { LayerChange } from "../../src/base-check/documents.js";
import { CHANGE_MEMORY_BYTES, measureChange } from "../../src/base-check/layer-change.js";
import { type Checkpoint, openCheckpoint } from "../../src/formats/open.js";
import { noPause } from "../../src/interrupt.js";
import { compileKernel, instantiateKernel } from "../../src/kernel/select.js";
import {
  floats,
  type Tensor,
  temporaryFolder,
  tinyPair,
  tinyShapes,
  writeModel,
} from "../support/model-folder.js";
import { decodeNumbers, seededNormals } from "../support/numbers.js";

async function open(context: TestContext, tensors: readonly Tensor[]): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(writeModel(join(temporaryFolder(context), "model"), tensors));
  context.after(() => checkpoint.close());
  return checkpoint;
}

async function measure(
  context: TestContext,
  base: readonly Tensor[],
  other: readonly Tensor[],
  sampleElements?: number,
): Promise<LayerChange | null> {
  const sides = [await open(context, base), await open(context, other)] as const;
  const changes: (LayerChange | null)[] = [];
  for (const choice of ["simd", "reference"] as const) {
    const kernel = instantiateKernel(await compileKernel(choice), CHANGE_MEMORY_BYTES);
    changes.push(await measureChange(sides[0].tensors, sides[1].tensors, kernel, noPause, sampleElements));
  }
  assert.deepEqual(changes[0], changes[1], "both kernels");
  return changes[0] ?? null;
}

const rms = (values: ArrayLike<number>) =>
  Math.sqrt(Array.from(values).reduce((total, value) => total + value * value, 0) / values.length);

test("every part and kind of a small model, exactly", async (t) => {
  const { base, delta } = tinyPair(3);
  const change = await measure(t, base, delta);
  assert.ok(change !== null);
  assert.equal(change.comparedAs, "delta");
  assert.deepEqual(
    change.parts.map(({ part, layer }) => [part, layer]),
    [
      ["embed", null],
      ["layer", 0],
      ["layer", 1],
      ["head", null],
    ],
  );
  const values = (tensors: readonly Tensor[], wanted: (name: string) => boolean) =>
    tensors
      .filter(({ name }) => wanted(name))
      .flatMap(({ dtype, bytes }) => [...decodeNumbers(dtype as "F16", bytes)]);
  const expect = (got: number | null | undefined, wanted: (name: string) => boolean) => {
    const expected = rms(values(delta, wanted)) / rms(values(base, wanted));
    assert.ok(Math.abs((got ?? Number.NaN) / expected - 1) < 1e-9, `${got}, not ${expected}`);
  };
  expect(change.parts[0]?.ratio, (name) => name === "model.embed_tokens.weight");
  expect(change.parts[2]?.ratio, (name) => name.startsWith("model.layers.1.") && name.includes("_proj"));
  expect(change.overall.ratio, (name) => /_proj|embed|head/.test(name));
  for (const { kind, ratio } of change.kinds) expect(ratio, (name) => name.split(".").at(-2) === kind);
  assert.equal(change.kinds.length, 12);
  assert.equal(change.elementsSampled, change.elementsCompared);
  assert.deepEqual(
    [change.tensorsCompared, change.tensorsNotCompared, change.notFinite],
    [base.length, [], 0],
  );
});

test("of a whole model the base is subtracted, and that is said", async (t) => {
  const { base, delta, tuned } = tinyPair(4);
  const asModel = await measure(t, base, tuned);
  const asDelta = await measure(t, base, delta);
  assert.equal(asModel?.comparedAs, "difference");
  const ratios = (change: LayerChange | null) => change?.parts.map(({ ratio }) => ratio?.toPrecision(4));
  // The delta is rounded to float16, the difference isn't.
  assert.deepEqual(ratios(asModel), ratios(asDelta));
});

test("the vectors of norms don't hide what a layer did", async (t) => {
  const name = (kind: string) => `model.layers.0.${kind}.weight`;
  const ones = floats(name("input_layernorm"), "F32", [64], new Float64Array(64).fill(1));
  const zeros = floats(name("input_layernorm"), "F32", [64], new Float64Array(64));
  const matrix = (value: number) =>
    floats(name("mlp.up_proj"), "F32", [8, 8], new Float64Array(64).fill(value));
  const change = await measure(t, [matrix(0.5), ones], [matrix(0.125), zeros]);
  assert.equal(change?.overall.ratio, 0.25);
  assert.deepEqual(
    change?.parts.map(({ ratio }) => ratio),
    [0.25],
  );
  assert.deepEqual(
    change?.kinds.map(({ kind, ratio }) => [kind, ratio]),
    [
      ["up_proj", 0.25],
      ["input_layernorm", 0],
    ],
  );
});

test("a sample is close to the whole, and reads no more than it should", async (t) => {
  const normal = seededNormals(7);
  const [rows, columns, budget] = [1024, 1024, 65_536];
  const count = rows * columns;
  const up = "model.layers.0.mlp.up_proj.weight";
  // A change that grows along the rows, so that runs from one place would be far off.
  const values = Float32Array.from({ length: count }, (_, i) => 1e-3 * (i / count) * normal());
  const base = [floats(up, "F32", [rows, columns], new Float32Array(count).fill(0.02))];
  const change = await measure(t, base, [floats(up, "F32", [rows, columns], values)], budget);
  assert.ok(change !== null && change.overall.ratio !== null);
  assert.ok(change.elementsSampled >= budget && change.elementsSampled < budget + 16);
  assert.equal(change.elementsCompared, count);
  const expected = rms(values) / 0.02;
  assert.ok(Math.abs(change.overall.ratio / expected - 1) < 0.06, `${change.overall.ratio}, not ${expected}`);
});

test("a tensor counts by its own size, not by its sample's", async (t) => {
  const matrix = (name: string, rows: number, value: number) =>
    floats(`model.layers.0.mlp.${name}.weight`, "F32", [rows, 64], new Float32Array(rows * 64).fill(value));
  const base = [matrix("up_proj", 48, 1), matrix("down_proj", 16, 1)];
  const delta = [matrix("up_proj", 48, 0.1), matrix("down_proj", 16, 0.3)];
  // Each gives 256 elements; the first has three times the second's.
  const change = await measure(t, base, delta, 512);
  const expected = Math.sqrt((3 * 0.1 ** 2 + 0.3 ** 2) / 4);
  assert.ok(Math.abs((change?.overall.ratio ?? 0) - expected) < 1e-7, `${change?.overall.ratio}`);
});

test("rows only one side has are left out; what can't be compared is named", async (t) => {
  const matrix = (name: string, rows: number, columns = 4, value = 1) =>
    floats(name, "F16", [rows, columns], new Float64Array(rows * columns).fill(value));
  const base = [
    matrix("model.embed_tokens.weight", 2),
    matrix("model.layers.0.self_attn.q_proj.weight", 2, 4),
    matrix("model.layers.0.self_attn.k_proj.weight", 2, 4),
    floats("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", [2], [1, 1]),
    floats("model.norm.weight", "F16", [2], [1, 1]),
  ];
  const other = [
    matrix("model.embed_tokens.weight", 3, 4, 0.25),
    matrix("model.layers.0.self_attn.q_proj.weight", 2, 5),
    matrix("model.mm_projector.weight", 2),
    floats("model.norm.weight", "F16", [3], [0, 0, 0]),
  ];
  const change = await measure(t, base, other);
  assert.equal(change?.overall.ratio, 0.25);
  assert.deepEqual(change?.tensorsNotCompared.toSorted(), [
    "model.layers.0.self_attn.k_proj.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "model.mm_projector.weight",
    "model.norm.weight",
  ]);
});

test("infinities and NaN are counted apart; a base of zeros has no ratio", async (t) => {
  const row = (values: number[]) => [floats("lm_head.weight", "F32", [1, 4], values)];
  const change = await measure(t, row([1, 1, 1, Number.NaN]), row([0.5, 0.5, Number.POSITIVE_INFINITY, 0]));
  assert.deepEqual([change?.overall.ratio, change?.notFinite], [0.5, 2]);
  const zeros = await measure(t, row([0, 0, 0, 0]), row([1, 1, 1, 1]));
  assert.deepEqual([zeros?.overall.ratio, zeros?.parts[0]?.ratio], [null, null]);
});

test("every float dtype, mixed", async (t) => {
  const values = [0.5, -0.5, 0.5, -0.5];
  for (const dtype of ["F16", "BF16", "F32", "F64"] as const) {
    const base = [floats("lm_head.weight", dtype, [2, 2], values)];
    const delta = [
      floats(
        "lm_head.weight",
        "BF16",
        [2, 2],
        values.map((value) => value / 4),
      ),
    ];
    assert.equal((await measure(t, base, delta))?.overall.ratio, 0.25, dtype);
  }
});

test("models with nothing in common", async (t) => {
  const shapes = tinyShapes(8, 4, 1);
  const { base } = tinyPair(1, shapes);
  const foreign = base.map((tensor) => ({ ...tensor, name: `gpt.${tensor.name}` }));
  assert.equal(await measure(t, base, foreign), null);
});
