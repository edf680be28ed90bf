/** Typed errors: what a user sees of one, and what decides the exit code. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApplyDeltaError, EXIT, EXIT_OF, errnoOf, isApplyDeltaError } from "../src/errors.js";
import { escapeControls } from "../src/printable.js";

test("every fact has a line, in one order", () => {
  const error = new ApplyDeltaError("wrong-size", "A tensor's byte range does not match.", {
    hint: "Download it again.",
    got: 3,
    expected: "4 bytes",
    tensor: "lm_head.weight",
    offsetBytes: 8,
    file: "model.safetensors",
  });
  assert.equal(
    error.format(),
    [
      "A tensor's byte range does not match.",
      "  file:     model.safetensors",
      "  at byte:  8",
      "  tensor:   lm_head.weight",
      "  expected: 4 bytes",
      "  got:      3",
      "  what now: Download it again.",
    ].join("\n"),
  );
  assert.equal(error.exitCode, EXIT.malformed);
});

test("a damaged file has a way out even where the place that throws names none", () => {
  const { hint } = new ApplyDeltaError("view-out-of-bounds", "x").details;
  assert.match(hint ?? "", /download or copy it again/);
  assert.equal(new ApplyDeltaError("view-out-of-bounds", "x", { hint: "y" }).details.hint, "y");
});

test("names from files can't write to the terminal", () => {
  const text = new ApplyDeltaError("bad-usage", "x", { tensor: "a\u001b[31m\nb\u202ec\u2028" }).format();
  assert.equal(text, "x\n  tensor:   a\\u001b[31m\\u000ab\\u202ec\\u2028");
  assert.ok(new ApplyDeltaError("bad-usage", "x", { got: "y".repeat(1e6) }).format().length < 3000);
});

test("codes end in the exit codes that are documented", () => {
  const documented = new Set<number>([...Object.values(EXIT)]);
  for (const [code, exit] of Object.entries(EXIT_OF)) assert.ok(documented.has(exit), code);
});

test("errors are told apart from anything else", () => {
  const error = new ApplyDeltaError("swapped", "x");
  assert.ok(isApplyDeltaError(error));
  assert.ok(isApplyDeltaError(error, "swapped"));
  assert.ok(!isApplyDeltaError(error, "bad-usage"));
  assert.ok(!isApplyDeltaError(new Error("x")));
  assert.equal(errnoOf(Object.assign(new Error("x"), { code: "ENOENT" })), "ENOENT");
  assert.equal(errnoOf("ENOENT"), undefined);
});

test("a detail of a megabyte is cut, also for --json", () => {
  const { message, details } = new ApplyDeltaError("bad-usage", "x".repeat(1e6), { tensor: "y".repeat(1e6) });
  assert.ok(message.length < 3000 && (details.tensor ?? "").length < 3000);
});

test("control characters of any text are escaped, and JSON stays the same JSON", () => {
  const json = JSON.stringify({ name: "a\u009b2J\u007f\u2028\n" }, null, 2);
  assert.deepEqual(JSON.parse(escapeControls(json)), JSON.parse(json));
  assert.doesNotMatch(escapeControls(json), /[^\P{Cc}\n]/u);
});
