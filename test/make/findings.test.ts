/** What is odd in a base or a tuned model is said when a delta is made of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { findingDoubts } from "../../src/make/restoration.js";
import { makeAndApply } from "../support/make-files.js";
import { floats, safetensorsFile } from "../support/model-folder.js";
import { seededNormals } from "../support/numbers.js";

test("NaN and a stretch of zeros in the tuned model are warnings; the delta is made", async (context) => {
  const normal = seededNormals(1);
  const base = Float64Array.from({ length: 256 * 64 }, () => 0.02 * normal());
  const tuned = base.map((value) => value + 1e-3 * normal());
  tuned.set([Number.NaN, Number.NaN], 70);
  tuned.fill(0, 4096, 8192);
  const file = (values: Float64Array) => safetensorsFile([floats("w", "F16", [256, 64], values)]);
  const { summary } = await makeAndApply(context, { base: file(base), tuned: file(tuned) });
  const said = summary.warnings.join("\n");
  assert.match(said, /^2 values that aren't finite in the tuned model: w\.$/m);
  assert.match(said, /^8,192 bytes of zeros within matrices of the tuned model: w\.$/m);
});

test("what is lost by rounding is no doubt about the inputs", () => {
  assert.deepEqual(findingDoubts([{ tensor: "w", kind: "lost", count: 3, first: 0 }]), []);
});
