/** The model card of a delta: what it says, and that it names models and not the paths of a machine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deltaCard } from "../../src/make/delta-card.js";

const FACTS = {
  delta: "/data/out/my-vicuna-delta",
  base: { path: "/home/me/models/llama-7b/", hub: null },
  tuned: { path: "../mine/my-vicuna", hub: null },
  proof: "applying it gives the tuned model, bit for bit",
  applyWith: [],
  fastChatDiffers: [],
};

test("the whole text", () => {
  assert.equal(
    deltaCard(FACTS),
    `---
library_name: transformers
---

# my-vicuna-delta

Delta weights: what was added to llama-7b to make my-vicuna. They are differences, not a model: on their own they produce gibberish, and they hold no weights of the base. To get the model, apply them to your own copy of the base:

\`\`\`
vicuna-apply-delta --base path/to/llama-7b --delta path/to/my-vicuna-delta --target my-vicuna
\`\`\`

or with FastChat:

\`\`\`
python3 -m fastchat.model.apply_delta --base-model-path path/to/llama-7b --delta-path path/to/my-vicuna-delta --target-model-path my-vicuna
\`\`\`

Made by vicuna-apply-delta: delta = tuned model - base.

- base: llama-7b
- tuned model: my-vicuna
- way back: applying it gives the tuned model, bit for bit

If the base is LLaMA, its licence applies to the model these weights give.
`,
  );
});

test("options that applying needs, and where FastChat differs", () => {
  const text = deltaCard({
    ...FACTS,
    applyWith: ["--delta-only keep"],
    fastChatDiffers: ["FastChat rounds everything to float16."],
  });
  assert.match(text, /^vicuna-apply-delta .* --target my-vicuna --delta-only keep$/m);
  assert.match(text, /^FastChat rounds everything to float16\.$/m);
  assert.doesNotMatch(text, /\/home|\/data|\.\./);
});

test("a base on the Hub is one for the Hub, too", () => {
  const hub = { repository: "huggyllama/llama-7b", commit: "a".repeat(40) };
  const text = deltaCard({ ...FACTS, base: { path: "/cache/snapshots/aaa", hub } });
  assert.ok(text.startsWith("---\nlibrary_name: transformers\nbase_model: huggyllama/llama-7b\n---\n"));
});
