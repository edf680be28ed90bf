import assert from "node:assert/strict";
import { test } from "node:test";
import { chatTemplateStyle } from "../../src/apply/check-sides.js";
import { recognizeRelease } from "../../src/llama/recognize.js";
import { refusal } from "../support/refusal.js";

const byShape = (rows: number) =>
  recognizeRelease({ reference: "delta", config: null, embedShape: [rows, 4096], shards: [], isDelta: true })
    .recognized;

test("auto takes v0's prompt by v0's shape in float16; Alpaca has that shape in float32", async () => {
  assert.equal(chatTemplateStyle("auto", byShape(32_001), "F16"), "v0");
  await refusal(() => chatTemplateStyle("auto", byShape(32_001), "F32"), "bad-usage");
  await refusal(() => chatTemplateStyle("auto", byShape(32_000), "F16"), "bad-usage");
});
