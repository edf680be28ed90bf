/** The verdict at each threshold, what it says, and which verdicts are errors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BaseVerdict } from "../../src/base-check/documents.js";
import { baseError, judgeBase } from "../../src/base-check/judge-base.js";
import type { SideFindings, TensorSample } from "../../src/base-check/tensor-sample.js";

const PAIRS = 2000;

const findings = (rms: number): SideFindings => ({
  squares: rms ** 2 * PAIRS,
  notFinite: 0,
  firstNotFinite: -1,
  zeroBytes: 0,
  firstZero: -1,
  places: 8,
  scatteredZeros: 0,
  textPlaces: 0,
  firstText: -1,
});

/** A matrix of a good pair of F16 models, with so many inexact sums in a thousand. */
function sample(inexact = 0, change: Partial<TensorSample> = {}): TensorSample {
  return {
    name: "model.layers.0.mlp.up_proj.weight",
    dtype: "F16",
    isMatrix: true,
    sampled: PAIRS,
    comparable: 1000,
    inexact: { BF16: inexact, F16: inexact, F32: inexact },
    baseFits: { BF16: false, F16: true, F32: true },
    fineSums: 0,
    quarter: 800,
    fineDeltas: 0,
    products: 0,
    inexactIf: { halved: 0, doubled: 0 },
    base: findings(0.02),
    delta: findings(0.001),
    ...change,
  };
}

const judge = (...samples: TensorSample[]) => judgeBase(samples, (_, side) => side);

/** A delta that uses its last bit where only one of a wider format does. */
const WIDE = { fineDeltas: 400 };

const CASES: readonly [string, TensorSample, BaseVerdict, boolean][] = [
  ["no inexact sum", sample(0), "exact", false],
  ["one", sample(1), "near", true],
  ["179 in 1000", sample(179), "near", true],
  ["180 in 1000", sample(180), "other", true],
  ["599 in 1000", sample(599, WIDE), "other", true],
  ["600 in 1000, of a delta that uses its last bit", sample(600, WIDE), "wider-delta", true],
  ["600 in 1000, of one that doesn't", sample(600), "other", true],
  ["all, of a delta that uses its last bit", sample(1000, WIDE), "wider-delta", true],
  ["255 comparable", sample(0, { comparable: 255 }), "too-few", false],
  ["256 comparable", sample(0, { comparable: 256 }), "exact", false],
  ["a delta of zeros", sample(0, { delta: findings(0), comparable: 0 }), "zero-delta", true],
  ["a delta half as large as the base", sample(0, { delta: findings(0.00999) }), "exact", false],
  ["larger", sample(0, { delta: findings(0.011) }), "not-a-delta", true],
  ["twice as large", sample(0, { delta: findings(0.0399) }), "not-a-delta", true],
  ["larger still", sample(0, { delta: findings(0.041) }), "swapped", true],
];

for (const [name, input, verdict, isWarning] of CASES) {
  test(`${name}: ${verdict}`, () => {
    const check = judge(input);
    assert.deepEqual([check.verdict, check.isWarning], [verdict, isWarning], check.sentence);
    assert.match(check.sentence, /^[a-z].*[^.]$/);
  });
}

test("no tensor in common can't be judged", () => {
  assert.deepEqual([judge().verdict, judge().isWarning], ["too-few", true]);
});

test("the narrowest format decides that doesn't say that the delta was made in a wider one", () => {
  const all = { BF16: true, F16: true, F32: true };
  for (const [inexact, baseFits, checkedIn, verdict] of [
    [{ BF16: 0, F16: 0, F32: 0 }, all, "BF16", "exact"],
    [{ BF16: 300, F16: 50, F32: 0 }, all, "BF16", "other"],
    [{ BF16: 900, F16: 20, F32: 0 }, all, "F16", "near"],
    [{ BF16: 900, F16: 300, F32: 0 }, all, "F16", "other"],
    [{ BF16: 999, F16: 950, F32: 0 }, { ...all, BF16: false }, "F32", "exact"],
    [{ BF16: 999, F16: 950, F32: 990 }, { ...all, BF16: false }, "F32", "wider-delta"],
  ] as const) {
    const check = judge(sample(0, { dtype: "F32", inexact, baseFits, fineSums: 900, ...WIDE }));
    assert.deepEqual([check.checkedIn, check.verdict], [checkedIn, verdict], JSON.stringify(inexact));
  }
  const coarse = { dtype: "F32", baseFits: { BF16: false, F16: false, F32: true }, fineSums: 10 } as const;
  assert.deepEqual([judge(sample(0, coarse)).checkedIn, judge(sample(0, coarse)).verdict], [null, "too-few"]);
});

test("rounding through bfloat16 is named as the cause only where it can be one", () => {
  const baseFits = { BF16: true, F16: true, F32: true };
  const inexact = { BF16: 900, F16: 20, F32: 0 };
  assert.match(judge(sample(20, { baseFits, inexact })).sentence, /rounded through bfloat16/);
  assert.match(judge(sample(20)).sentence, /rounded or tuned on the way/);
});

test("the sentence tells the counts, and what can't be judged", () => {
  const many = sample(1234, { comparable: 1_000_000 });
  assert.match(judge(many).sentence, /\(1,234 of 1,000,000 sums are inexact\)$/);
  const exact = sample(0, { comparable: 225_192 });
  assert.equal(judge(exact).sentence, "exact: all 225,192 sums, all 1 tensor judged");
  const zero = sample(0, { name: "z", comparable: 0, delta: findings(0) });
  assert.equal(
    judge(exact, zero).sentence,
    "exact: all 225,192 sums, 1 of 2 tensors judged: the delta is zero in 1",
  );
});

test("one tensor among exact ones is judged by any inexact sum", () => {
  const check = judge(sample(0), sample(0, { name: "b" }), sample(3, { name: "c" }));
  assert.deepEqual([check.verdict, check.cause?.kind, check.cause?.tensors], ["mixed", "tensors", ["c"]]);
  assert.equal(baseError(check)?.code, "wrong-base");
  assert.match(String(baseError(check)?.details.got), /^1 tensor: c$/);
});

test("swapped sides, a whole model and another model are errors; the other verdicts are none", () => {
  for (const [name, input, verdict] of CASES) {
    const error = baseError(judge(input));
    const expected = { other: "wrong-base", swapped: "swapped", "not-a-delta": "not-a-delta" };
    assert.equal(error?.code ?? null, expected[verdict as keyof typeof expected] ?? null, name);
    if (error === null) continue;
    assert.equal(error.exitCode, 5);
    assert.ok(error.details.hint && error.details.expected && error.details.got);
  }
  assert.match(String(baseError(judge(sample(300)))?.details.got), /300 of 1,000 sums/);
});
