/** A comparison as a terminal shows it: the verdict in words, lists that are cut, names that can't be trusted. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatComparison } from "../../src/cli/compare-text.js";
import type { Comparison } from "../../src/compare/documents.js";

type Differing = Comparison["differing"][number];

const sameFile = (file: string) => {
  return { file, isDifferent: false, onlyIn: null, differences: 0, notes: 0, keys: [] };
};

const EQUAL: Comparison = {
  a: "one",
  b: "two",
  isEqual: true,
  tolerance: null,
  tensors: { compared: 300, equalBits: 300, withinTolerance: 0, different: 0 },
  elements: 6.74e9,
  differing: [],
  onlyInA: [],
  onlyInB: [],
  otherShapes: [],
  otherDTypes: [],
  files: [sameFile("config.json"), sameFile("tokenizer.model")],
  notes: [],
  hints: [],
  seconds: 3,
  threads: 2,
};

function differing(changes: Partial<Differing> = {}): Differing {
  return {
    name: "w",
    shape: [4, 4],
    dtypes: { a: "F16", b: "F16" },
    elements: 16,
    differentBits: 5,
    differentValues: 3,
    beyondTolerance: 2,
    notFinite: 0,
    first: [0, 1],
    largestAbsolute: { difference: 0.001953125, index: [2, 3], a: 1, b: 1.001953125 },
    largestRelative: { difference: 0.25, index: [0, 1], a: 3, b: 4 },
    isWithinTolerance: false,
    ...changes,
  };
}

function different(tensors: readonly Differing[], changes: Partial<Comparison> = {}): Comparison {
  const counts = {
    compared: 300,
    equalBits: 300 - tensors.length,
    withinTolerance: 0,
    different: tensors.length,
  };
  return { ...EQUAL, isEqual: false, differing: tensors, tensors: counts, ...changes };
}

const text = (comparison: Comparison, all = false) => formatComparison(comparison, all);
const firstLine = (comparison: Comparison) => text(comparison).split("\n")[0];

test("equal", () => {
  assert.equal(
    text(EQUAL),
    [
      "equal: 300 tensors, every bit; config and tokenizer too",
      "  a  one",
      "  b  two",
      "",
      "  300 tensors of 6.74 billion elements compared in 3.0 s, 2 threads",
    ].join("\n"),
  );
  for (const files of [null, []])
    assert.equal(firstLine({ ...EQUAL, files }), "equal: 300 tensors, every bit");
  const files = [sameFile("tokenizer.model")];
  assert.equal(firstLine({ ...EQUAL, files }), "equal: 300 tensors, every bit; tokenizer too");
});

test("equal under a tolerance says how many are so in every bit", () => {
  const tensors = { compared: 300, equalBits: 290, withinTolerance: 10, different: 0 };
  const line = (absolute: number, relative: number) =>
    firstLine({ ...EQUAL, tensors, files: null, tolerance: { absolute, relative } });
  assert.equal(line(0, 0), "equal in value: 300 tensors, 290 of them in every bit");
  assert.equal(line(0.001, 0), "equal within 0.001: 300 tensors, 290 of them in every bit");
  assert.match(line(0, 0.1) ?? "", /^equal within 0\.1 of each other: /);
  assert.match(line(1e-8, 0.1) ?? "", /^equal within 1e-8, or 0\.1 of each other: /);
});

test("a row says how many bits and values differ, how much, and where", () => {
  assert.equal(
    firstLine(different([differing()])),
    "different: 1 of 300 tensors, 5 of 6.74 billion elements",
  );
  assert.match(
    text(different([differing()])),
    /^ {2}w {7}F16 {4}5 of 16 \(3 in value\) {2}0\.00195 {6}\[2, 3\] {2}0\.25$/m,
  );
  const tolerance = { absolute: 1e-3, relative: 0 };
  const beyond = different([differing()], { tolerance });
  assert.equal(firstLine(beyond), "different: 1 of 300 tensors, 2 of 6.74 billion elements not within 0.001");
  assert.match(text(beyond), /^ {2}w {7}F16 {4}2 of 16 {2}0\.00195/m);
  assert.match(text(different([differing({ notFinite: 2 })])), / 2 NaN or infinite {2}\[0, 1\] /);
});

test("what differs in bits or in dtypes alone is said so", () => {
  const noValue = { differentValues: 0, beyondTolerance: 0, largestAbsolute: null, largestRelative: null };
  assert.match(
    firstLine(different([differing(noValue)])) ?? "",
    /^different: 1 of 300 tensors: bits differ \(-0, or another NaN\), but every value is equal \(--tolerance 0/,
  );
  const other = differing({ ...noValue, differentBits: null, dtypes: { a: "F16", b: "F32" } });
  assert.match(firstLine(different([other])) ?? "", /: dtypes differ, but every value is equal/);
  assert.match(text(different([other])), /note: dtypes differ: F16 in a, F32 in b \(1 tensor\)/);
});

test("ten of each list, and all with --all", () => {
  const many = Array.from({ length: 12 }, (_, i) => differing({ name: `w${i}` }));
  const names = Array.from({ length: 11 }, (_, i) => `n${i}`);
  const comparison = different(many, { onlyInA: names, otherShapes: [{ name: "s", a: [1], b: [] }] });
  const short = text(comparison);
  assert.match(short, /^different: 12 of 300 tensors, .*; 11 tensors only in a; 1 tensor of other shapes$/m);
  assert.match(short, /w9 .*\n {2}… and 2 more tensors \(--all lists them\)\n/);
  assert.match(short, /n9\n {4}… and 1 more tensor \(--all lists them\)\n/);
  assert.match(short, /other shapes \(1\)\n {4}s: a \[1\], b \[\]\n/);
  const whole = text(comparison, true);
  assert.ok(whole.includes("w11") && whole.includes("n10") && !whole.includes("--all"));
});

test("files: differences with both values, notes by name", () => {
  const key = (at: string, isNote: boolean) => ({ at, a: "1", b: null, isNote });
  const file = { file: "config.json", isDifferent: true, onlyIn: null, differences: 5, notes: 1 };
  const keys = [key("v", true), ...["p", "q", "r", "s", "t"].map((at) => key(at, false))];
  const shown = text({ ...EQUAL, isEqual: false, files: [{ ...file, keys }] });
  assert.match(shown, /^different: config\.json; the 300 tensors of both are equal in every bit\n/);
  assert.match(shown, / {2}config\.json: 5 differences\n {4}p: a 1, b has none\n/);
  assert.match(
    shown,
    /\n {4}… and 1 more place \(--all lists them\)\n {2}config\.json: v \(no difference to a loader\)\n/,
  );
});

test("no control character of a name reaches the terminal", () => {
  const shown = text(
    different([differing({ name: "\u001b[2Jw\n" })], { hints: ["h\u202e"], onlyInA: ["\u0007"] }),
  );
  assert.ok(![...shown].some((char) => char !== "\n" && /[\p{Cc}\p{Bidi_Control}]/u.test(char)), shown);
  assert.match(shown, /\\u\{1b\}\[2Jw\\u\{a\}/);
});
