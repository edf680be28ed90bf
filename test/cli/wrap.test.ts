import assert from "node:assert/strict";
import { test } from "node:test";
import { wrapLine, wrapText } from "../../src/cli/wrap.js";

test("lines break at spaces, and go on under their last column", () => {
  const text = [
    "vicuna-7b",
    "  release   Vicuna 7B v1.1 (delta), by the folder's name",
    "            copied   lm_head.weight: the delta holds it whole",
    "note without columns that is too long for it",
  ].join("\n");
  assert.deepEqual(wrapText(text, 40).split("\n"), [
    "vicuna-7b",
    "  release   Vicuna 7B v1.1 (delta), by",
    "            the folder's name",
    "            copied   lm_head.weight: the",
    "              delta holds it whole",
    "note without columns that is too long",
    "  for it",
  ]);
  assert.equal(wrapText(text, Number.POSITIVE_INFINITY), text);
  assert.equal(wrapText(text, 100), text);
});

test("the cells of a table stay together", () => {
  const row = "  model.layers.1.mlp.down_proj.weight  F16  11,263 of 11,264  0.1  [15, 26]  2";
  assert.deepEqual(wrapText(row, 60).split("\n"), [
    "  model.layers.1.mlp.down_proj.weight  F16  11,263 of 11,264",
    "    0.1  [15, 26]  2",
  ]);
});

test("a word that is too long stays whole: a path can be copied", () => {
  const path = `/models/${"very-long-".repeat(10)}name`;
  assert.equal(wrapLine(`file: ${path} is here`, 40, 2), `file:\n  ${path}\n  is here`);
});

test("paint takes no room", () => {
  const painted = "\u001b[1;31merror:\u001b[0m twelve letters";
  assert.equal(wrapLine(painted, 21), painted);
  assert.equal(wrapLine(painted, 20), painted.replace(" letters", "\nletters"));
});

test("the indent leaves some columns for the text in the narrowest terminal", () => {
  const wrapped = wrapLine(`            ${"word ".repeat(9)}`, 20, 12);
  for (const line of wrapped.split("\n")) assert.ok(line.length <= 32, line);
});
