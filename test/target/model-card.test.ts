/** The model card: what it says, and that it names models and not the paths of a machine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { modelCard } from "../../src/target/model-card.js";

const FACTS = {
  base: { path: "/home/me/models/llama-7b/", hub: null },
  delta: { path: "../downloads/vicuna-7b-delta-v1.1", hub: null },
  scale: 1,
  baseCheck: "the base is the one this delta was made from (5 sums, all exact)",
  release: "Vicuna 7B v1.1 (delta), by the folder's name",
};

test("the whole text", () => {
  assert.equal(
    modelCard(FACTS),
    `---
library_name: transformers
---

# llama-7b + vicuna-7b-delta-v1.1

Made by vicuna-apply-delta: target = base + delta.

- base: llama-7b
- delta: vicuna-7b-delta-v1.1
- release: Vicuna 7B v1.1 (delta), by the folder's name
- base check: the base is the one this delta was made from (5 sums, all exact)

The weights are derived from LLaMA: its licence applies to them.
`,
  );
});

test("a delta applied in part, an unknown release, no base check", () => {
  const text = modelCard({ ...FACTS, scale: 0.5, baseCheck: null, release: null });
  assert.match(text, /^# llama-7b \+ 0\.5 \* vicuna-7b-delta-v1\.1$/m);
  assert.match(text, /^Made by vicuna-apply-delta: target = base \+ 0\.5 \* delta\.$/m);
  assert.match(text, /^- delta: vicuna-7b-delta-v1\.1, applied in part \(scale 0\.5\)$/m);
  assert.match(text, /^- base check: skipped$/m);
  assert.doesNotMatch(text, /release/);
});

test("a file is named with its folder, and no more of its path", () => {
  const text = modelCard({ ...FACTS, base: { path: "/home/me/llama-7b/model.safetensors", hub: null } });
  assert.match(text, /^- base: llama-7b\/model\.safetensors$/m);
  assert.doesNotMatch(text, /\/home|downloads/);
});

test("a model of the Hub is named with its commit, not with the cache's path", () => {
  const hub = { repository: "huggyllama/llama-7b", commit: "a".repeat(40) };
  const text = modelCard({ ...FACTS, base: { path: "/home/me/.cache/hub/snapshots/aaa", hub } });
  assert.match(text, /^- base: huggyllama\/llama-7b, commit a{40}$/m);
  // The Hub shows the model under its base.
  assert.ok(text.startsWith("---\nlibrary_name: transformers\nbase_model: huggyllama/llama-7b\n---\n"));
  assert.doesNotMatch(text, /cache/);
});
