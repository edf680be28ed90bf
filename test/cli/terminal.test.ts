/** When a stream gets colours, and what of a report gets through to it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatComparison } from "../../src/cli/compare-text.js";
import {
  canRedraw,
  escapeUnpainted,
  PLAIN,
  paletteFor,
  type TerminalVariables,
} from "../../src/cli/terminal.js";
import { formatVerification } from "../../src/cli/verify-command.js";
import type { Comparison } from "../../src/compare/documents.js";
import type { Check, Verification } from "../../src/verify/documents.js";

const TERMINAL = { isTTY: true };
const PIPE = { isTTY: false };
const ESC = "\u001b[";

const COLOURS: readonly [TerminalVariables, { readonly terminal: boolean; readonly pipe: boolean }][] = [
  [{}, { terminal: true, pipe: false }],
  [{ TERM: "xterm-256color" }, { terminal: true, pipe: false }],
  [{ TERM: "dumb" }, { terminal: false, pipe: false }],
  [{ NO_COLOR: "1" }, { terminal: false, pipe: false }],
  [{ NO_COLOR: "" }, { terminal: true, pipe: false }],
  [{ FORCE_COLOR: "1" }, { terminal: true, pipe: true }],
  [{ FORCE_COLOR: "" }, { terminal: true, pipe: false }],
  [{ FORCE_COLOR: "0" }, { terminal: false, pipe: false }],
  [{ FORCE_COLOR: "false" }, { terminal: false, pipe: false }],
  [
    { FORCE_COLOR: "1", NO_COLOR: "1" },
    { terminal: false, pipe: false },
  ],
  [
    { FORCE_COLOR: "1", TERM: "dumb" },
    { terminal: true, pipe: true },
  ],
];

describe("colours", () => {
  for (const [variables, { terminal, pipe }] of COLOURS) {
    test(JSON.stringify(variables), () => {
      assert.equal(paletteFor(TERMINAL, variables) !== PLAIN, terminal, "terminal");
      assert.equal(paletteFor(PIPE, variables) !== PLAIN, pipe, "pipe");
    });
  }

  test("no colour variable lets a bar be drawn where the cursor can't be moved", () => {
    assert.ok(canRedraw(TERMINAL, { NO_COLOR: "1" }));
    assert.ok(!canRedraw(TERMINAL, { TERM: "dumb", FORCE_COLOR: "1" }));
    assert.ok(!canRedraw(PIPE, { FORCE_COLOR: "1" }));
  });
});

test("only what the palette paints with gets through", () => {
  const paint = paletteFor(TERMINAL, {});
  const painted = `${paint.good("equal")} ${paint.bad("no")}\n`;
  assert.equal(painted, `${ESC}32mequal${ESC}0m ${ESC}1;31mno${ESC}0m\n`);
  assert.equal(escapeUnpainted(painted, paint), painted);
  for (const hostile of [`${ESC}2J`, `${ESC}8m`, `${ESC}31;5m`, "\u009b32m", "\u001b]0;x\u0007", "\r"]) {
    for (const palette of [paint, PLAIN]) {
      const text = escapeUnpainted(`a${hostile}b`, palette);
      assert.doesNotMatch(text, /\p{Cc}/u, JSON.stringify(hostile));
    }
  }
  assert.equal(escapeUnpainted(painted, PLAIN).includes("\u001b"), false);
});

describe("verdicts", () => {
  const paint = paletteFor(TERMINAL, {});
  const check = (status: "ok" | "failed", detail = "all") => ({ name: "weights", status, detail }) as const;

  const verification = (verdict: "ok" | "failed", weightsProven: boolean, check: Check): Verification => ({
    ...{ target: "vicuna", verdict, checks: [check], weightsProven, notes: [] },
  });

  test("verify: green where all is proven, red where a check failed", () => {
    const verified = verification("ok", true, { ...check("ok"), name: "sum" });
    const lines = formatVerification(verified, paint).split("\n");
    assert.deepEqual(lines, [
      `${ESC}1mvicuna${ESC}0m`,
      "  sum        ok       all",
      `${ESC}32mverified${ESC}0m`,
    ]);
    const failed = formatVerification(verification("failed", false, check("failed", `${ESC}32mok`)), paint);
    assert.deepEqual(failed.split("\n").slice(1), [
      `  weights    ${ESC}1;31mFAILED ${ESC}0m  \\u001b[32mok`,
      `${ESC}1;31mverification FAILED:${ESC}0m weights`,
    ]);
  });

  test("verify: what is not proven has no colour", () => {
    const text = formatVerification(verification("ok", false, check("ok")), paint);
    assert.match(text, /\nno fault found, but /);
  });

  test("compare: the first word", () => {
    const tensors = { compared: 1, equalBits: 1, withinTolerance: 0, different: 0 };
    const comparison: Comparison = {
      ...{ a: "a", b: "b", isEqual: true, tolerance: null, tensors, elements: 1, differing: [], files: null },
      ...{ notes: [], hints: [], seconds: 1, threads: 1 },
      ...{ onlyInA: [], onlyInB: [], otherShapes: [], otherDTypes: [] },
    };
    const first = (value: Comparison) => formatComparison(value, false, paint).split("\n")[0];
    assert.equal(first(comparison), `${ESC}32mequal:${ESC}0m 1 tensor, every bit`);
    const different = first({ ...comparison, isEqual: false, onlyInA: ["x"] }) ?? "";
    assert.ok(different.startsWith(`${ESC}1;31mdifferent:${ESC}0m 1 tensor only in a`), different);
  });
});
