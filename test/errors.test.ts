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

test("sizes are as people read them, in every digit where they would look the same; details keep all", () => {
  const format = (details: object) => {
    const error = new ApplyDeltaError("truncated-file", "The file ends too early.", details);
    return { lines: error.format().split("\n").slice(1), details: error.details };
  };
  const given = {
    expected: "14485798912 bytes",
    got: "2100000000 bytes, written today",
    hint: "Free 12000 bytes.",
  };
  const { lines, details } = format(given);
  assert.deepEqual(lines, [
    "  expected: 14.5 GB",
    "  got:      2.10 GB, written today",
    "  what now: Free 12.0 kB.",
  ]);
  assert.deepEqual(details, given);
  const near = format({ expected: "9976634558 bytes", got: "9976634557 bytes", hint: "x" }).lines;
  assert.deepEqual(near.slice(0, 2), ["  expected: 9,976,634,558 bytes", "  got:      9,976,634,557 bytes"]);
  assert.equal(format({ got: "at most 64 bytes" }).lines[0], "  got:      at most 64 bytes");
});

test("a fact that the headline has isn't said again", () => {
  const details = { file: "llama-7b", got: "2.1 GB free", expected: "3", tensor: "head" };
  const text = new ApplyDeltaError(
    "no-space",
    "Not enough in llama-7b: 13 GB needed, 2.1 GB free.",
    details,
  ).format();
  assert.deepEqual(text.split("\n").slice(1), ["  tensor:   head", "  expected: 3"]);
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
