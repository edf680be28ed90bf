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

const CASES: [what: string, base: readonly Tensor[], delta: readonly Tensor[], code: ErrorCode][] = [
  ["a base of NaN", filled(base, Number.NaN), delta, "not-finite"],
  ["a delta of NaN", base, filled(delta, Number.NaN), "not-finite"],
  ["a base that overflowed", filled(base, Number.POSITIVE_INFINITY), delta, "not-finite"],
  ["both zero", filled(base, 0), filled(delta, 0), "damaged-weights"],
];
for (const [what, ofBase, ofDelta, code] of CASES) {
  test(what, async (context) => {
    const root = temporaryFolder(context);
    const options = {
      base: writeModel(join(root, "base"), ofBase),
      delta: writeModel(join(root, "delta"), ofDelta),
      target: join(root, "target"),
    };
    await refusal(() => applyDelta(options), code, { message: /throughout/ });
    await refusal(() => planMerge(options), code);
    assert.equal(existsSync(`${options.target}.incomplete`), false);
    assert.equal((await planMerge({ ...options, force: true })).dryRun, true);
  });
}
