/** Every element is counted: what lies between the runs of a sample is found, named, and stops the target. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ApplyDeltaOptions, applyDelta } from "../../src/apply/apply-delta.js";
import { isApplyDeltaError } from "../../src/errors.js";
import type { SumDType } from "../../src/tensor.js";
import { safetensorsFile, type Tensor, temporaryFolder } from "../support/model-folder.js";
import { encodeNumbers, roundTo, seededNormals } from "../support/numbers.js";

const ROWS = 512;
const WIDTH = 512;
const COUNT = ROWS * WIDTH;

/** Between the sample's runs, which are at the beginning, a third, two thirds and the end. */
const UNSEEN = Math.floor(COUNT / 6);

interface Pair {
  readonly base: Float64Array;
  readonly delta: Float64Array;
}

function makePair(dtype: SumDType): Pair {
  const normal = seededNormals(5);
  const base = Float64Array.from({ length: COUNT }, () => roundTo(dtype, 0.02 * normal()));
  const delta = base.map((value) => roundTo(dtype, roundTo(dtype, value + 1e-3 * normal()) - value));
  return { base, delta };
}

const NAME = "model.layers.0.mlp.up_proj.weight";
const tensor = (dtype: SumDType, bytes: Uint8Array): Tensor => ({
  name: NAME,
  dtype,
  shape: [ROWS, WIDTH],
  bytes,
});

function place(
  context: TestContext,
  dtype: SumDType,
  { base, delta }: Pair,
  spoil?: (bytes: Uint8Array) => void,
) {
  const root = temporaryFolder(context);
  const baseBytes = encodeNumbers(dtype, base);
  spoil?.(baseBytes);
  writeFileSync(join(root, "base"), safetensorsFile([tensor(dtype, baseBytes)]));
  writeFileSync(join(root, "delta"), safetensorsFile([tensor(dtype, encodeNumbers(dtype, delta))]));
  return (options: Partial<ApplyDeltaOptions> = {}) =>
    applyDelta({
      base: join(root, "base"),
      delta: join(root, "delta"),
      target: join(root, "target"),
      ...options,
    }).then(
      (summary) => ({ summary, error: null, isThere: existsSync(join(root, "target")) }),
      (error: unknown) => {
        assert.ok(isApplyDeltaError(error), String(error));
        return { summary: null, error, isThere: existsSync(join(root, "target")) };
      },
    );
}

/** The sums that must be exact and aren't, one by one. */
function inexactIn(dtype: SumDType, { base, delta }: Pair): number {
  const least = { F16: 2 ** -14, BF16: 2 ** -126, F32: 2 ** -126 }[dtype];
  return base.reduce((count, b, i) => {
    const d = delta[i] as number;
    const bound = Math.abs(d) < least ? least + Math.abs(d) : 2 * Math.abs(d);
    return count + Number(bound <= Math.abs(b) && roundTo(dtype, b + d) !== b + d);
  }, 0);
}

for (const dtype of ["F16", "BF16", "F32"] as const) {
  test(`${dtype}: rows of another model between the sample's runs`, async (context) => {
    const { base, delta } = makePair(dtype);
    const other = base.toReversed();
    const spoiled = { base: Float64Array.from(base), delta };
    spoiled.base.set(other.subarray(UNSEEN, UNSEEN + 3 * WIDTH), UNSEEN);
    const expected = inexactIn(dtype, spoiled);
    assert.ok(expected > 100);
    for (const kernel of ["simd", "reference"] as const) {
      const run = place(context, dtype, spoiled);
      const { error, isThere } = await run({ kernel });
      assert.equal(error?.code, "wrong-base");
      assert.equal(error?.details.tensor, NAME);
      assert.match(String(error?.details.got), new RegExp(`^${expected.toLocaleString("en-US")} sums`));
      assert.equal(isThere, false);
      // The shards are kept, and with them what was counted.
      const { summary } = await run({ kernel, force: true });
      assert.deepEqual(summary?.keptShards, ["model.safetensors"]);
      assert.equal(summary?.counted.inexact, expected);
      assert.equal(summary?.counted.sums, COUNT);
      assert.match(summary?.warnings.join() ?? "", /A part of the base is not what the delta was made from/);
    }
  });
}

test("the right base: every sum is counted, none is inexact", async (context) => {
  const { summary } = await place(context, "F16", makePair("F16"))();
  assert.deepEqual(summary?.counted, { sums: COUNT, inexact: 0, notFinite: 0, findings: [] });
  assert.equal(summary?.baseCheck?.verdict, "exact");
});

const SPOILT: readonly [string, (bytes: Uint8Array) => void, string, RegExp][] = [
  ["zeros", (bytes) => bytes.fill(0, 2 * UNSEEN, 2 * UNSEEN + 20_000), "damaged-weights", /^Zeros stand/],
  [
    "an error page",
    (bytes) => bytes.set(Buffer.from(`<html>${"Service unavailable. ".repeat(300)}</html>`), 2 * UNSEEN),
    "damaged-weights",
    /^Text stands/,
  ],
  [
    "0xFF",
    (bytes) => bytes.fill(0xff, 2 * UNSEEN, 2 * UNSEEN + 4000),
    "not-finite",
    /base has values that aren't/,
  ],
];

for (const [name, spoil, code, headline] of SPOILT) {
  test(`${name} between the sample's runs of the base: ${code}, with the place`, async (context) => {
    const run = place(context, "F16", makePair("F16"), spoil);
    const { error, isThere } = await run();
    assert.deepEqual([error?.code, isThere], [code, false]);
    assert.match(error?.message ?? "", headline);
    assert.equal(error?.details.tensor, NAME);
    const start = 2 * UNSEEN;
    const at = (error?.details.offsetBytes ?? 0) - headerLength();
    assert.ok(Math.abs(at - start) <= 1024, `${at} and ${start}`);
    assert.equal((await run({ force: true })).isThere, true);
  });
}

/** Of the file with the one tensor. */
function headerLength(): number {
  const file = safetensorsFile([tensor("F16", new Uint8Array(2 * COUNT))]);
  return file.length - 2 * COUNT;
}

test("infinities that the sum, the scale or a narrower dtype makes are a warning with the first place", async (context) => {
  const { base, delta } = makePair("F16");
  const huge = { base: Float64Array.from(base), delta: Float64Array.from(delta) };
  huge.base[UNSEEN] = 40_000;
  huge.delta[UNSEEN] = 40_000;
  const { summary } = await place(context, "F16", huge)();
  assert.match(
    summary?.warnings.join() ?? "",
    new RegExp(`1 value became infinite by the sum: .*element ${UNSEEN} of`),
  );
  assert.equal(summary?.counted.notFinite, 1);
  const scaled = await place(context, "F16", { base, delta: huge.delta })({ scale: 10 });
  assert.match(scaled.summary?.warnings.join() ?? "", /1 value became infinite by the sum with --scale/);
  const wide = makePair("BF16");
  wide.base[UNSEEN] = 2 ** 20;
  wide.delta[UNSEEN] = 0;
  const narrowed = await place(context, "BF16", wide)({ dtype: "F16" });
  assert.match(
    narrowed.summary?.warnings.join() ?? "",
    /1 value became infinite by rounding to a narrower dtype/,
  );
});

test("a delta stored wider than it was made: counting its sums proves nothing, and nothing is claimed", async (context) => {
  const normal = seededNormals(5);
  const base = Float64Array.from({ length: COUNT }, () => roundTo("F16", 0.02 * normal()));
  const delta = base.map((value) => roundTo("F16", value + 1e-3 * normal()) - value);
  const { summary } = await place(context, "F32", { base, delta })();
  assert.deepEqual([summary?.baseCheck?.verdict, summary?.baseCheck?.checkedIn], ["exact", "F16"]);
  assert.equal(summary?.counted.sums, 0);
});

test("norms that lie close together look like text, and aren't", async (context) => {
  const root = temporaryFolder(context);
  // 0x3c41 to 0x3c5a as float16: "A<" to "Z<".
  const norms = Float64Array.from({ length: 4096 }, (_, i) => 1 + (65 + (i % 26)) / 1024);
  const one = (values: Float64Array): Tensor => {
    const bytes = encodeNumbers("F16", values);
    return { name: "model.norm.weight", dtype: "F16", shape: [4096], bytes };
  };
  writeFileSync(join(root, "base"), safetensorsFile([one(norms)]));
  writeFileSync(join(root, "delta"), safetensorsFile([one(norms.map((_, i) => (i % 3) / 1024))]));
  const summary = await applyDelta({
    base: join(root, "base"),
    delta: join(root, "delta"),
    target: join(root, "target"),
  });
  assert.equal(summary.baseCheck?.verdict, "exact");
  assert.deepEqual(summary.counted.findings, []);
});
