/**
 * The base check on pairs whose history is known, in numbers as models have them: each history gets its verdict, in
 * every format and for every strength of tuning that the thresholds were chosen for.
 */

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { BaseCheck, BaseVerdict } from "../../src/base-check/documents.js";
import { judgeBase } from "../../src/base-check/judge-base.js";
import { sampleBase } from "../../src/base-check/sample-base.js";
import { SAMPLE_MEMORY_BYTES, type TensorSample } from "../../src/base-check/tensor-sample.js";
import { noPause } from "../../src/interrupt.js";
import { compileKernel, instantiateKernel } from "../../src/kernel/select.js";
import type { FloatDType, SumDType } from "../../src/tensor.js";
import { BASE_CASES, type BaseCase, matricesOf, type Numbers, tune, weights } from "../support/base-cases.js";
import { temporaryFolder } from "../support/model-folder.js";
import { roundTo, seededNormals } from "../support/numbers.js";

const COUNT = 64 * 1024;
const MATRIX = { rows: 64, columns: 128 };

const kernel = instantiateKernel(await compileKernel("reference"), SAMPLE_MEMORY_BYTES);

interface Stored {
  readonly base: FloatDType;
  readonly delta: FloatDType;
}

async function measure(
  context: TestContext,
  { base, delta }: Numbers,
  stored: Stored,
  rows = MATRIX.rows,
): Promise<TensorSample[]> {
  const folder = temporaryFolder(context);
  const sides = [
    matricesOf(folder, "base", stored.base, base, MATRIX),
    matricesOf(folder, "delta", stored.delta, delta, { ...MATRIX, rows }),
  ] as const;
  try {
    return await sampleBase(...sides, kernel, noPause);
  } finally {
    for (const side of sides) side[0]?.pieces[0].file.close();
  }
}

async function judge(
  context: TestContext,
  numbers: Numbers,
  dtype: SumDType,
  stored: Partial<Stored> = {},
): Promise<BaseCheck> {
  return judgeSamples(await measure(context, numbers, { base: dtype, delta: dtype, ...stored }));
}

/** One file on each side. */
const judgeSamples = (samples: readonly TensorSample[]) => judgeBase(samples, (_, side) => side);

const VERDICTS: Record<BaseCase, BaseVerdict> = {
  "the right base": "exact",
  "rounded through bfloat16": "near",
  "tuned on by 1e-5": "near",
  "tuned on by 1e-3": "near",
  "another model": "other",
  "delta made in a wider format": "wider-delta",
};

for (const dtype of ["F16", "BF16", "F32"] as const) {
  for (const name of Object.keys(VERDICTS) as BaseCase[]) {
    test(`${name} in ${dtype}`, async (context) => {
      // Rounding a bfloat16 base through bfloat16 changes nothing.
      const isSame = dtype === "BF16" && name === "rounded through bfloat16";
      for (const s of [1e-4, 1e-3, 5e-3]) {
        const check = await judge(context, BASE_CASES[name](dtype, COUNT, s), dtype);
        assert.equal(check.verdict, isSame ? "exact" : VERDICTS[name], `s = ${s}: ${check.sentence}`);
        assert.equal(check.checkedIn, dtype);
        const isRounded = name === "rounded through bfloat16" && dtype !== "BF16";
        assert.equal(check.statistics.baseIsBFloat16, isRounded);
        assert.equal(/bfloat16/.test(check.sentence), isRounded, check.sentence);
      }
    });
  }
}

/** The difference of two models of a narrow dtype, made and kept in a wider one. */
function differenceOf(models: SumDType, other = false): Numbers {
  const base = weights(models, COUNT, 1);
  const normal = seededNormals(2);
  const delta = base.map((value) => Math.fround(roundTo(models, value + normal() * 1e-3) - value));
  return { base: other ? weights(models, COUNT, 99) : base, delta };
}

// In float32 every sum of two 16-bit numbers is exact, so that exactness there would prove nothing.
for (const [models, delta] of [
  ["F16", "F32"],
  ["BF16", "F32"],
  ["BF16", "F16"],
  ["F16", "F64"],
] as const) {
  test(`the difference of two ${models} models, kept in ${delta}, is judged in ${models}`, async (context) => {
    for (const base of [models, "F32"] as const) {
      const right = await judge(context, differenceOf(models), models, { base, delta });
      assert.equal(right.verdict, "exact");
      assert.equal(right.checkedIn, models);
      const wrong = await judge(context, differenceOf(models, true), models, { base, delta });
      assert.equal(wrong.verdict, "other", wrong.sentence);
    }
  });
}

test("an F16 base that was rounded through bfloat16, under a float32 delta of F16 models", async (context) => {
  const { base, delta } = differenceOf("F16");
  const rounded = base.map((value) => roundTo("F16", roundTo("BF16", value)));
  const check = await judge(context, { base: rounded, delta }, "F16", { delta: "F32" });
  assert.equal(check.verdict, "near");
  assert.equal(check.checkedIn, "F16");
  assert.match(check.sentence, /rounded through bfloat16/);
});

test("a float32 model tuned from a float16 one is judged in float32", async (context) => {
  const base = weights("F16", COUNT, 1);
  const normal = seededNormals(2);
  const delta = base.map((value) => Math.fround(Math.fround(value + normal() * 3e-4) - value));
  const right = await judge(context, { base, delta }, "F16", { delta: "F32" });
  assert.deepEqual([right.verdict, right.checkedIn], ["exact", "F32"]);
  const wrong = await judge(context, { base: weights("F16", COUNT, 99), delta }, "F16", { delta: "F32" });
  assert.equal(wrong.verdict, "other");
});

test("a base in a wider dtype than the delta's is rounded before it is judged", async (context) => {
  const wide = weights("F32", COUNT, 1);
  const base = wide.map((value) => roundTo("F16", value));
  const normal = seededNormals(2);
  const delta = base.map((value) => roundTo("F16", roundTo("F16", value + normal() * 1e-3) - value));
  for (const stored of ["F32", "F64"] as const) {
    assert.equal((await judge(context, { base: wide, delta }, "F16", { base: stored })).verdict, "exact");
  }
});

test("a bfloat16 delta on a float16 base: no wonder that the rounded base fits bfloat16", async (context) => {
  const numbers = tune("BF16", COUNT, 1e-3);
  const other = { base: weights("F16", COUNT, 1), delta: numbers.delta };
  const check = await judge(context, other, "BF16", { base: "F16" });
  assert.equal(check.statistics.baseIsBFloat16, false);
});

test("base and delta swapped, a merged model, a delta of zeros", async (context) => {
  const { base, delta } = tune("F16", COUNT, 1e-3);
  assert.equal((await judge(context, { base: delta, delta: base }, "F16")).verdict, "swapped");
  const merged = base.map((value, i) => roundTo("F16", value + (delta[i] ?? 0)));
  const whole = await judge(context, { base, delta: merged }, "F16");
  assert.equal(whole.verdict, "not-a-delta");
  assert.ok(whole.statistics.correlation > 0.99);
  assert.equal((await judge(context, { base, delta: base }, "F16")).verdict, "not-a-delta");
  const zero = await judge(context, { base, delta: new Float64Array(COUNT) }, "F16");
  assert.deepEqual([zero.verdict, zero.isWarning], ["zero-delta", true]);
});

test("infinities and NaN on either side are counted with their place, and spoil no other count", async (context) => {
  const { base, delta } = tune("F16", COUNT, 1e-3);
  const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const spoilt = (values: Float64Array, step: number) =>
    values.map((value, i) => (i % step === 0 ? (special[(i / step) % 3] ?? 0) : value));
  const numbers = { base: spoilt(base, 7), delta: spoilt(delta, 11) };
  const clean = (await judge(context, { base, delta }, "F16")).statistics;
  const check = await judge(context, numbers, "F16");
  const { statistics } = check;
  assert.ok(statistics.sampled < clean.sampled * 0.8 && statistics.sampled > clean.sampled * 0.7);
  assert.ok(Number.isFinite(statistics.baseRms) && Number.isFinite(statistics.correlation));
  assert.equal(check.inexact, 0);
  assert.deepEqual([check.verdict, check.cause?.kind], ["mixed", "damaged"]);
  const [first] = await measure(context, numbers, { base: "F16", delta: "F16" });
  assert.deepEqual([first?.base.firstNotFinite, first?.delta.firstNotFinite], [0, 0]);
});

test("numbers near float16's end: a sum that overflows is inexact, subnormals are exact", async (context) => {
  const huge = { base: new Float64Array(COUNT).fill(65504), delta: new Float64Array(COUNT).fill(32) };
  const inexact = (samples: TensorSample[]) => samples.reduce((sum, sample) => sum + sample.inexact.F16, 0);
  assert.equal(inexact(await measure(context, huge, { base: "F16", delta: "F16" })), COUNT);
  const least = 2 ** -24;
  const tiny = {
    base: Float64Array.from({ length: COUNT }, (_, i) => (i % 1000) * least),
    delta: Float64Array.from({ length: COUNT }, (_, i) => (i % 7) * least),
  };
  assert.equal(inexact(await measure(context, tiny, { base: "F16", delta: "F16" })), 0);
});

test("grown embeddings are compared in the rows that both have", async (context) => {
  const { base, delta } = tune("F16", COUNT, 1e-3);
  const count = MATRIX.rows * MATRIX.columns;
  const one = { base: base.subarray(0, count), delta: delta.subarray(0, count + 3 * MATRIX.columns) };
  const samples = await measure(context, one, { base: "F16", delta: "F16" }, MATRIX.rows + 3);
  assert.deepEqual(
    samples.map(({ sampled }) => sampled),
    [count],
  );
  assert.equal(judgeSamples(samples).verdict, "exact");
});

test("the sampled runs reach from a matrix's first element to its last", async (context) => {
  const rows = 4096;
  const count = rows * MATRIX.columns;
  const { base, delta } = tune("F16", count, 1e-3);
  const folder = temporaryFolder(context);
  const sampled = async (at: number) => {
    const broken = base.slice();
    for (let i = at; i < at + 64; i++) broken[i] = (broken[i] ?? 0) + 1000;
    const shape = { rows, columns: MATRIX.columns };
    const sides = [
      matricesOf(folder, "base", "F16", broken, shape),
      matricesOf(folder, "delta", "F16", delta, shape),
    ] as const;
    const [sample] = await sampleBase(...sides, kernel, noPause);
    for (const side of sides) side[0]?.pieces[0].file.close();
    return (sample?.base.squares ?? 0) > (sample?.sampled ?? 0);
  };
  assert.deepEqual([await sampled(0), await sampled(count - 64)], [true, true]);
  assert.equal(await sampled(Math.floor(count / 6)), false);
});

test("nothing to compare: no common matrix, other widths, no float, no element", async (context) => {
  const folder = temporaryFolder(context);
  const { base, delta } = tune("F16", COUNT, 1e-3);
  const bases = matricesOf(folder, "base", "F16", base, MATRIX);
  const deltas = matricesOf(folder, "delta", "F16", delta, MATRIX);
  const changed = (change: object) => deltas.map((tensor) => ({ ...tensor, ...change }));
  for (const [what, views] of [
    ["no tensor", []],
    ["another name", changed({ name: "other" })],
    ["another width", changed({ shape: [128, 64] })],
    ["a vector", changed({ shape: [8192] })],
    ["integers", changed({ dtype: "I16" })],
    ["no rows", changed({ shape: [0, 128] })],
  ] as const) {
    const samples = await sampleBase(bases, views, kernel, noPause);
    assert.deepEqual(samples, [], what);
    assert.equal(judgeSamples(samples).verdict, "too-few", what);
  }
  bases[0]?.pieces[0].file.close();
  deltas[0]?.pieces[0].file.close();
});
