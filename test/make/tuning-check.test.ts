/** What is odd about a pair of models, by the size of their difference; and how a loss is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LostElements } from "../../src/make/documents.js";
import { tuningDoubt } from "../../src/make/make-delta.js";
import { describeRestoration, judgeRestoration, restorationError } from "../../src/make/restoration.js";
import type { Finding } from "../../src/target/findings.js";
import { changeOf } from "../support/changes.js";

const overall = (baseRms: number, changeRms: number) => ({
  ...changeOf({}),
  comparedAs: "difference" as const,
  overall: { baseRms, changeRms, ratio: baseRms === 0 ? null : changeRms / baseRms },
});

test("a tuned model is no cause for doubt", () => {
  for (const share of [1e-6, 0.05, 0.49]) assert.equal(tuningDoubt(overall(0.02, 0.02 * share)), null);
});

test("two models that have nothing to do with one another", () => {
  assert.match(tuningDoubt(overall(0.02, 0.028)) ?? "", /differ by 1\.40 times the base's weights/);
  assert.match(tuningDoubt(overall(0.02, 0.028)) ?? "", /takes --force/);
});

test("a delta in the place of the tuned model, zeros in the place of the base, nothing in common", () => {
  const delta = { ...overall(0.02, 1e-3), comparedAs: "delta" as const };
  assert.match(tuningDoubt(delta) ?? "", /looks like a delta itself/);
  assert.match(tuningDoubt(overall(0, 1)) ?? "", /all zeros/);
  assert.match(tuningDoubt(null) ?? "", /no tensor in common/);
});

test("a delta in the place of the base", () => {
  assert.match(tuningDoubt(overall(1e-3, 0.02)) ?? "", /the base looks like a delta.*takes --force/);
});

test("the same model twice; not if a vector differs", () => {
  const same = { ...overall(0.02, 0), kinds: [{ kind: "norm", baseRms: 1, changeRms: 0, ratio: 0 }] };
  assert.match(tuningDoubt(same) ?? "", /the delta will be all zeros/);
  const normsDiffer = { ...same, kinds: [{ kind: "norm", baseRms: 1, changeRms: 1e-3, ratio: 1e-3 }] };
  assert.equal(tuningDoubt(normsDiffer), null);
});

const lost = (count: number): LostElements[] =>
  Array.from({ length: count }, (_, i) => ({ tensor: `t${i}`, elements: 3, zeroSigns: 1, first: i }));

const found = (losses: readonly LostElements[]): Finding[] =>
  losses.flatMap(({ tensor, elements, zeroSigns, first }) => [
    { tensor, kind: "lost", count: elements, first },
    { tensor, kind: "lost-zero-sign", count: zeroSigns, first },
  ]);

test("a delta that gives everything back", () => {
  const restoration = judgeRestoration([], 1000);
  assert.deepEqual(restoration, {
    isExact: true,
    elements: 1000,
    lost: 0,
    zeroSigns: 0,
    tensors: 0,
    listed: [],
  });
  assert.equal(describeRestoration(restoration), "applying it gives the tuned model, bit for bit");
  assert.equal(restorationError(restoration), null);
});

test("losses are added up, ten tensors are named, the rest counted", () => {
  const restoration = judgeRestoration(found(lost(12)), 5000);
  assert.equal(restoration.lost, 36);
  assert.equal(restoration.zeroSigns, 12);
  assert.equal(restoration.tensors, 12);
  assert.deepEqual(restoration.listed, lost(10));
  assert.equal(
    describeRestoration(restoration),
    "applying it gives the tuned model but for rounding: 36 of 5,000 elements differ, 12 of them only the sign of a zero",
  );
  const error = restorationError(restoration);
  assert.equal(error?.code, "not-restorable");
  assert.equal(error?.exitCode, 7);
  assert.equal(error?.details.tensor, "t0");
  assert.match(String(error?.details.got), /^36 of 5,000 .*t9: 3, the first is number 9; and 2 more\)$/);
  assert.match(error?.details.hint ?? "", /Leave out --exact/);
});
