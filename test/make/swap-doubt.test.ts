import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readModelConfig } from "../../src/llama/model-config.js";
import { swapDoubt } from "../../src/make/swap-doubt.js";
import { temporaryFolder } from "../support/model-folder.js";

/** A model with this config; null: with none. */
function sideIn(context: TestContext, name: string, config: object | null) {
  const folder = join(temporaryFolder(context), name);
  mkdirSync(folder);
  if (config !== null)
    writeFileSync(join(folder, "config.json"), JSON.stringify({ model_type: "llama", ...config }));
  return { folder, config: readModelConfig(folder) };
}

test("a base with a longer context than the tuned model", (context) => {
  const long = sideIn(context, "a", {
    max_position_embeddings: 4096,
    rope_scaling: { type: "linear", factor: 4 },
  });
  const short = sideIn(context, "b", { max_position_embeddings: 4096 });
  assert.match(
    swapDoubt(long, short) ?? "",
    /exchanged: the base's context is 16,384 tokens, the tuned model's 4,096,/,
  );
  assert.equal(swapDoubt(short, long), null);
  assert.equal(swapDoubt(short, short), null);
});

test("a base that was loaded from the tuned model", (context) => {
  const tuned = sideIn(context, "my-vicuna", { _name_or_path: "/home/me/llama-7b" });
  const base = sideIn(context, "llama-7b", {});
  assert.match(swapDoubt(tuned, base) ?? "", /the base's config\.json says that it was loaded from llama-7b/);
  assert.equal(swapDoubt(base, tuned), null);
  const own = sideIn(context, "llama-7b", { _name_or_path: "llama-7b" });
  assert.equal(swapDoubt(own, base), null, "each names itself");
});

test("nothing is known", (context) => {
  const none = sideIn(context, "none", null);
  assert.equal(swapDoubt(none, none), null);
});
