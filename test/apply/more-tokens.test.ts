/** A tokenizer with more tokens than the model has rows is another model's; `verify` would fail the target. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { planMerge } from "../../src/apply/apply-delta.js";
import { readSentencePiece } from "../../src/llama/sentencepiece.js";
import { temporaryFolder, tinyPair, tinyShapes, writeModel } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

test("more tokens than rows: refused before the first byte", async (context) => {
  const root = temporaryFolder(context);
  // 62 rows for the 64 pieces that writeModel writes.
  const pair = tinyPair(1, tinyShapes(62));
  const base = writeModel(join(root, "base"), pair.base);
  const delta = writeModel(join(root, "delta"), pair.delta);
  const plan = () => planMerge({ base, delta, target: join(root, "target") });
  const details = { expected: "at most 62 tokens", got: "64" };
  await refusal(plan, "config-mismatch", details);
  // The same vocabulary as tokenizer.json.
  const model = join(delta, "tokenizer.model");
  const { pieces } = await readSentencePiece(readFileSync(model), model);
  const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  writeFileSync(join(delta, "tokenizer.json"), JSON.stringify({ model: { vocab } }));
  rmSync(model);
  await refusal(plan, "config-mismatch", details);
});
