/** Sides in which no number can be added are refused before anything is written. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { applyDelta, planMerge } from "../../src/apply/apply-delta.js";
import type { ErrorCode } from "../../src/errors.js";
import { floats, type Tensor, temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const { base, delta } = tinyPair();

const filled = (tensors: readonly Tensor[], value: number) =>
  tensors.map(({ name, shape, bytes }) =>
    floats(name, "F16", shape, new Array(bytes.length / 2).fill(value)),
  );

const isNotFinite = (side: string) => new RegExp(`No sum is finite: the ${side} is NaN or infinite`);

const CASES: [
  what: string,
  base: readonly Tensor[],
  delta: readonly Tensor[],
  code: ErrorCode,
  message: RegExp,
  file?: string,
][] = [
  ["a base of NaN", filled(base, Number.NaN), delta, "not-finite", isNotFinite("base"), "base"],
  ["a delta of NaN", base, filled(delta, Number.NaN), "not-finite", isNotFinite("delta"), "delta"],
  ["a base that overflowed", filled(base, 1 / 0), delta, "not-finite", isNotFinite("base"), "base"],
  ["a base of zeros", filled(base, 0), delta, "damaged-weights", /^The base is zeros throughout/, "base"],
  ["both zero", filled(base, 0), filled(delta, 0), "damaged-weights", /throughout/],
];
for (const [what, ofBase, ofDelta, code, message, file] of CASES) {
  test(what, async (context) => {
    const root = temporaryFolder(context);
    const options = {
      base: writeModel(join(root, "base"), ofBase),
      delta: writeModel(join(root, "delta"), ofDelta),
      target: join(root, "target"),
    };
    const found = await refusal(() => applyDelta(options), code, { message });
    assert.equal(found.details.file, file && join(root, file, "model.safetensors"));
    await refusal(() => planMerge(options), code);
    assert.equal(existsSync(`${options.target}.incomplete`), false);
    assert.equal((await planMerge({ ...options, force: true })).dryRun, true);
  });
}
