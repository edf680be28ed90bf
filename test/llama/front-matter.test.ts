import assert from "node:assert/strict";
import { test } from "node:test";
import { readFrontMatter } from "../../src/llama/gguf/front-matter.js";

test("scalars and lists of scalars are read, and nothing else", () => {
  const card = [
    "---",
    "license: 'apache-2.0'",
    "base_model:",
    "- a/b # the base",
    '- "c/d"',
    "tags: [one, two]",
    "empty: null",
    "nested: {a: b}",
    "---",
    "language: en",
  ].join("\r\n");
  assert.deepEqual(
    [...readFrontMatter(card)],
    [
      ["license", "apache-2.0"],
      ["base_model", ["a/b", "c/d"]],
      ["tags", ["one", "two"]],
    ],
  );
});

test("a line may hold the line separators of JavaScript, whose spaces before them are looked at once", () => {
  const fields = readFrontMatter(`---\nname:${" ".repeat(80_000)}\u2028a\u2029b\n---\n`);
  assert.deepEqual([...fields], [["name", "a\u2029b"]]);
});

test("a card without front matter has none", () => {
  for (const card of ["", "# A model", "---\nlicense: mit", "text\n---\nlicense: mit\n---"])
    assert.equal(readFrontMatter(card).size, 0, card);
});
