/** The verdict at each threshold, what it says, and which verdicts are errors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BaseStatistics, BaseVerdict } from "../../src/base-check/documents.js";
import { baseError, judgeBase } from "../../src/base-check/judge-base.js";

type Formats = BaseStatistics["formats"];

/** Statistics of a good pair of F16 models with the given number of inexact sums in a thousand. */
function statistics(inexact = 0, change: Partial<BaseStatistics> = {}): BaseStatistics {
  return {
    tensors: 1,
    sampled: 2000,
    comparable: 1000,
    formats: [{ dtype: "F16", inexact }],
    baseRms: 0.02,
    deltaRms: 0.001,
    correlation: 0,
    baseIsBFloat16: false,
    ...change,
  };
}

const formats = (counts: { BF16?: number; F16?: number; F32?: number }): Formats =>
  (["BF16", "F16", "F32"] as const).flatMap((dtype) => {
    const inexact = counts[dtype];
    return inexact === undefined ? [] : [{ dtype, inexact }];
  });

const CASES: readonly [string, BaseStatistics, BaseVerdict, boolean][] = [
  ["no inexact sum", statistics(0), "exact", false],
  ["one", statistics(1), "near", true],
  ["179 in 1000", statistics(179), "near", true],
  ["180 in 1000", statistics(180), "other", true],
  ["599 in 1000", statistics(599), "other", true],
  ["600 in 1000", statistics(600), "wider-delta", true],
  ["all", statistics(1000), "wider-delta", true],
  ["no matrix in common", statistics(0, { sampled: 0, comparable: 0, formats: [] }), "too-few", true],
  ["255 comparable", statistics(0, { comparable: 255 }), "too-few", false],
  ["256 comparable", statistics(0, { comparable: 256 }), "exact", false],
  ["no format that tells anything", statistics(0, { formats: [] }), "too-few", false],
  ["a delta of zeros", statistics(0, { deltaRms: 0, comparable: 0 }), "zero-delta", true],
  ["a delta half as large as the base", statistics(0, { deltaRms: 0.01 }), "exact", false],
  ["larger", statistics(0, { deltaRms: 0.011 }), "not-a-delta", true],
  ["twice as large", statistics(0, { deltaRms: 0.04 }), "not-a-delta", true],
  ["larger still", statistics(0, { deltaRms: 0.041 }), "swapped", true],
  ["a base of zeros", statistics(0, { baseRms: 0 }), "swapped", true],
];

for (const [name, input, verdict, isWarning] of CASES) {
  test(`${name}: ${verdict}`, () => {
    const check = judgeBase(input);
    assert.deepEqual([check.verdict, check.isWarning], [verdict, isWarning], check.sentence);
    assert.equal(check.statistics, input);
    assert.match(check.sentence, /^[a-z].*[^.]$/);
  });
}

test("the narrowest format decides that doesn't say that the delta was made in a wider one", () => {
  for (const [counts, checkedIn, verdict] of [
    [{ BF16: 0, F16: 0, F32: 0 }, "BF16", "exact"],
    [{ BF16: 300, F16: 50, F32: 0 }, "BF16", "other"],
    [{ BF16: 900, F16: 20, F32: 0 }, "F16", "near"],
    [{ BF16: 900, F16: 300, F32: 0 }, "F16", "other"],
    [{ F16: 950, F32: 0 }, "F32", "exact"],
    [{ F16: 950, F32: 990 }, "F32", "wider-delta"],
  ] as const) {
    const check = judgeBase(statistics(0, { formats: formats(counts) }));
    assert.deepEqual([check.checkedIn, check.verdict], [checkedIn, verdict], JSON.stringify(counts));
  }
});

test("rounding through bfloat16 is named as the cause only where it can be one", () => {
  const sentence = (input: BaseStatistics) => judgeBase(input).sentence;
  assert.match(sentence(statistics(20, { baseIsBFloat16: true })), /rounded through bfloat16/);
  assert.match(sentence(statistics(20)), /rounded or tuned on the way/);
  const inBFloat16 = { baseIsBFloat16: true, formats: formats({ BF16: 20 }) };
  assert.match(sentence(statistics(0, inBFloat16)), /rounded or tuned on the way/);
});

test("the sentence tells the counts", () => {
  assert.match(
    judgeBase(statistics(1234, { comparable: 1_000_000 })).sentence,
    /\(1,234 of 1,000,000 sums are inexact\)$/,
  );
  assert.match(judgeBase(statistics(0, { comparable: 225_192 })).sentence, /\(225,192 sums, all exact\)$/);
});

test("swapped sides, a whole model and another model are errors; the other verdicts are none", () => {
  const codes = Object.fromEntries(
    CASES.map(([name, input]) => [name, baseError(judgeBase(input))?.code ?? null]),
  );
  for (const [name, input, verdict] of CASES) {
    const expected = { other: "wrong-base", swapped: "swapped", "not-a-delta": "not-a-delta" }[
      verdict as string
    ];
    assert.equal(codes[name], expected ?? null, name);
    const error = baseError(judgeBase(input));
    if (error === null) continue;
    assert.equal(error.exitCode, 5);
    assert.ok(error.details.hint && error.details.expected && error.details.got);
  }
  assert.match(String(baseError(judgeBase(statistics(300)))?.details.got), /^300 of 1,000 /);
});
