/** A tokenizer with more tokens than the model has rows is another model's; `verify` would fail the target. */
import { join } from "node:path";
import { test } from "node:test";
import { planMerge } from "../../src/apply/apply-delta.js";
import { temporaryFolder, tinyPair, tinyShapes, writeModel } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

test("more tokens than rows: refused before the first byte", async (context) => {
  const root = temporaryFolder(context);
  // 62 rows for the 64 pieces that writeModel writes.
  const pair = tinyPair(1, tinyShapes(62));
  const base = writeModel(join(root, "base"), pair.base);
  const delta = writeModel(join(root, "delta"), pair.delta);
  await refusal(() => planMerge({ base, delta, target: join(root, "target") }), "config-mismatch", {
    expected: "at most 62 tokens",
    got: "64",
  });
});
