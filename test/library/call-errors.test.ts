/** The errors of calls: typed, and for every option that breaks its rule. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  ApplyDeltaError,
  type ApplyDeltaOptions,
  applyDelta,
  checkUpload,
  compareModels,
  EXIT,
  inspectModel,
  isApplyDeltaError,
  makeDelta,
  planDelta,
  planMerge,
  uploadModel,
  verifyTarget,
} from "../../src/index.js";
import { place } from "../support/library-place.js";
import { listing } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

describe("errors", { concurrency: 2 }, () => {
  test("are typed, and the guard narrows them", async (context) => {
    const { root, base, delta, options } = place(context);
    const cases = [
      [() => applyDelta(options("made", { base: join(root, "nothing") })), "source-not-found", EXIT.source],
      [() => applyDelta(options("made", { base: delta, delta: base })), "swapped", EXIT.mismatch],
      [() => applyDelta(options("base")), "target-overlaps-source", EXIT.target],
      [() => compareModels({ a: base, b: base }), "bad-usage", EXIT.usage],
      [() => inspectModel({ model: join(base, "config.json") }), "unknown-format", EXIT.malformed],
      [() => verifyTarget({ target: join(root, "nothing") }), "source-not-found", EXIT.source],
    ] as const;
    for (const [call, code, exitCode] of cases) {
      const error = await refusal(call, code);
      assert.ok(error instanceof Error && error instanceof ApplyDeltaError);
      assert.ok(isApplyDeltaError(error) && isApplyDeltaError(error, code));
      assert.ok(!isApplyDeltaError(error, "interrupted"));
      assert.equal(error.exitCode, exitCode, code);
      assert.ok(error.format().startsWith(`${error.message}\n`));
    }
    for (const other of [new Error("x"), null, undefined, "text", { code: "bad-usage" }])
      assert.equal(isApplyDeltaError(other), false);
  });

  const invalid: readonly [object, string][] = [
    [{ threads: 0 }, "Invalid threads: 0. Use a whole number from 1 to 256."],
    [{ maxShardBytes: 1.5 }, "Invalid maxShardBytes: 1.5. Use a whole number of at least 1."],
    [{ scale: 0 }, "Invalid scale: 0. Use a number other than 0."],
    [{ dtype: "float8" }, 'Invalid dtype: "float8". Use auto, F16, BF16, F32, Q8_0 or Q4_0.'],
    [{ format: "onnx" }, 'Invalid format: "onnx". Use safetensors, bin or gguf.'],
    [{ target: "" }, `Invalid target: "". Use text that isn't empty.`],
    [{ target: undefined }, "Missing target. Use text that isn't empty."],
    [{ overwrite: "yes" }, 'Invalid overwrite: "yes". Use true or false.'],
    [{ rules: { newRows: "one" } }, 'Invalid rules.newRows: "one". Use zero, mean or error.'],
    [
      { hub: { transfer: { stallMs: -1 } } },
      "Invalid hub.transfer.stallMs: -1. Use a whole number of at least 1.",
    ],
    [{ reporter: { warn: "loud" } }, 'Invalid reporter.warn: "loud". Use a function.'],
    [{ signal: {} }, "Invalid signal: an object. Use an AbortSignal."],
    [{ hub: null }, "Invalid hub: null. Use an object."],
    [{ treads: 2 }, "Unknown option: treads. Check the name for a typo."],
    [{ rules: { newRow: "zero" } }, "Unknown option: rules.newRow. Check the name for a typo."],
  ];
  for (const [more, message] of invalid) {
    test(message, async (context) => {
      const { root, options } = place(context);
      const before = listing(root);
      const call = { ...options("made"), ...more } as ApplyDeltaOptions;
      const error = await refusal(() => applyDelta(call), "bad-usage");
      const { hint = "" } = error.details;
      assert.equal(`${error.message} ${hint}`, message);
      assert.deepEqual(listing(root), before);
    });
  }

  test("options that are missing, or no options at all", async () => {
    const calls = [
      ...[applyDelta, planMerge, makeDelta, planDelta, compareModels, inspectModel, verifyTarget],
      ...[uploadModel, checkUpload],
    ];
    for (const call of calls as ((options: unknown) => Promise<unknown>)[]) {
      assert.match((await refusal(() => call({}), "bad-usage")).message, /^Missing /);
      for (const none of [undefined, null, "base"]) await refusal(() => call(none), "bad-usage");
    }
  });
});
