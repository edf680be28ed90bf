/**
 * The proof that a delta gives its model back, against a count by brute force: differences and sums in double
 * arithmetic, number by number, over every kind of pair; and what applying the delta really gives.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { bytesOf, type FloatDType, type SumDType } from "../../src/tensor.js";
import { SEGMENT_BYTES } from "../../src/workers/segments.js";
import { makeAndApply } from "../support/make-files.js";
import { floats, safetensorsFile, type Tensor } from "../support/model-folder.js";
import { convertTo, decodeNumbers, encodeNumbers, roundTo, seededNormals } from "../support/numbers.js";

const DTYPES = ["F16", "BF16", "F32"] as const satisfies readonly SumDType[];

interface Numbers {
  readonly base: readonly number[];
  readonly tuned: readonly number[];
}

/** The delta, what adding it gives, and which elements of the tuned model that isn't. */
function bruteForce(dtype: SumDType, { base, tuned }: Numbers) {
  const delta = tuned.map((value, i) => roundTo(dtype, value - (base[i] ?? 0)));
  const restored = delta.map((value, i) => roundTo(dtype, (base[i] ?? 0) + value));
  const lost = tuned.flatMap((value, i) => (Object.is(value, restored[i]) ? [] : [i]));
  const zeroSigns = lost.filter((i) => tuned[i] === 0 && restored[i] === 0);
  return { delta, restored, lost, zeroSigns };
}

const numbersOf = (tensor: Tensor | undefined) =>
  Array.from(decodeNumbers(tensor?.dtype as FloatDType, tensor?.bytes ?? new Uint8Array()));

/** Makes and applies the delta of one tensor, and holds everything against the count by brute force. */
async function check(context: TestContext, dtype: SumDType, numbers: Numbers, threads = 2): Promise<number> {
  const shape = [numbers.tuned.length];
  const pair = {
    base: safetensorsFile([floats("w", dtype, shape, numbers.base)]),
    tuned: safetensorsFile([floats("w", dtype, shape, numbers.tuned)]),
  };
  const expected = bruteForce(dtype, numbers);
  for (const kernel of ["simd", "reference"] as const) {
    const { summary, delta, restored } = await makeAndApply(context, pair, { kernel, threads });
    assert.deepEqual(numbersOf(delta.get("w")), expected.delta);
    assert.deepEqual(numbersOf(restored.get("w")), expected.restored);
    const { isExact, lost, zeroSigns, listed } = summary.restores;
    assert.equal(lost, expected.lost.length);
    assert.equal(zeroSigns, expected.zeroSigns.length);
    assert.equal(isExact, expected.lost.length === 0);
    assert.equal(listed[0]?.first, expected.lost[0]);
  }
  return expected.lost.length;
}

/** Numbers that arithmetic goes wrong on; every one meets every other. */
const EDGES = [
  ...[0, -0, 1, -1, 2048, 2049, 65504, -65504, 3e38, -3e38, 0.1, -0.1, 1 + 2 ** -10, 1 + 2 ** -7],
  ...[2 ** -14, 2 ** -24, -(2 ** -24), 2 ** -126, 2 ** -133, -(2 ** -149)],
  ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
];

for (const dtype of DTYPES) {
  test(`${dtype}: every pair of edges`, async (context) => {
    const edges = EDGES.map((value) => roundTo(dtype, value));
    const pairs = edges.flatMap((base) => edges.map((tuned) => [base, tuned] as const));
    const numbers = { base: pairs.map(([base]) => base), tuned: pairs.map(([, tuned]) => tuned) };
    assert.ok((await check(context, dtype, numbers)) > 10);
  });

  test(`${dtype}: any numbers, property`, async (context) => {
    const size = bytesOf(dtype);
    const element = fc.integer({ min: 0, max: 2 ** (8 * size) - 1 });
    // Half of all pairs are near one another, as tuned weights are.
    const pair = fc
      .tuple(element, element, fc.integer({ min: -40, max: 40 }), fc.boolean())
      .map(([a, b, step, isNear]) => [a, isNear ? Math.min(Math.max(a + step, 0), 2 ** (8 * size) - 1) : b]);
    const decode = (bits: readonly number[]) => {
      const bytes = size === 2 ? Uint16Array.from(bits) : Uint32Array.from(bits);
      return Array.from(decodeNumbers(dtype, new Uint8Array(bytes.buffer)));
    };
    await fc.assert(
      fc.asyncProperty(fc.array(pair, { minLength: 1, maxLength: 300 }), async (pairs) => {
        const side = (index: number) => decode(pairs.map((each) => each[index] as number));
        await check(context, dtype, { base: side(0), tuned: side(1) });
      }),
      { numRuns: 8, seed: 20230413 },
    );
  });

  test(`${dtype}: tuning within half of each weight always comes back`, async (context) => {
    const normal = seededNormals(3);
    const base = Array.from({ length: 5000 }, () => roundTo(dtype, normal() * 0.02));
    const tuned = base.map((value) => {
      const near = roundTo(dtype, value * (1 + 0.45 * Math.tanh(normal())));
      return near === 0 ? 0 : near;
    });
    assert.equal(await check(context, dtype, { base, tuned }), 0);
  });
}

test("a weight much smaller than the base's is rounded away: counted, not hidden", async (context) => {
  const numbers = { base: [2048, 2050, 1, 1], tuned: [1.0009765625, 2052, -0, 1.5] };
  assert.equal(await check(context, "F16", numbers), 2);
});

test("losses at the borders of segments, any number of threads: all counted, the first one found", async (context) => {
  const perSegment = SEGMENT_BYTES / 2;
  const count = 3 * perSegment + 1001;
  const places = [perSegment - 1, perSegment, 2 * perSegment + 7, count - 1];
  const one = encodeNumbers("F16", [1]);
  const [big, small] = [encodeNumbers("F16", [2048]), encodeNumbers("F16", [1.0009765625])];
  const filled = (value: Uint8Array) => {
    const bytes = Buffer.alloc(2 * count, one);
    for (const place of places) bytes.set(value, 2 * place);
    return { name: "w", dtype: "F16", shape: [count], bytes };
  };
  const pair = { base: safetensorsFile([filled(big)]), tuned: safetensorsFile([filled(small)]) };
  for (const threads of [1, 3, 8]) {
    const { summary } = await makeAndApply(context, pair, { threads });
    assert.deepEqual(summary.restores, {
      isExact: false,
      elements: count,
      lost: places.length,
      zeroSigns: 0,
      tensors: 1,
      listed: [{ tensor: "w", elements: places.length, zeroSigns: 0, first: places[0] }],
    });
  }
});

for (const tunedDType of ["F16", "BF16", "F32", "F64"] as const) {
  for (const baseDType of ["F16", "BF16", "F32", "F64"] as const) {
    test(`a base in ${baseDType} is rounded to ${tunedDType} before it is taken away`, async (context) => {
      const normal = seededNormals(5);
      const dtype = tunedDType === "F64" ? "F32" : tunedDType;
      const base = Array.from({ length: 999 }, () => normal() * 0.02);
      const tuned = base.map((value) => value + normal() * 1e-3);
      const { summary, delta } = await makeAndApply(context, {
        base: safetensorsFile([floats("w", baseDType, [999], base)]),
        tuned: safetensorsFile([floats("w", tunedDType, [999], tuned)]),
      });
      const stored = (of: FloatDType, values: readonly number[]) =>
        Array.from(decodeNumbers(of, encodeNumbers(of, values)), (value) =>
          of === dtype ? value : convertTo(dtype, of, value),
        );
      const expected = bruteForce(dtype, {
        base: stored(baseDType, base),
        tuned: stored(tunedDType, tuned),
      });
      assert.equal(delta.get("w")?.dtype, dtype);
      assert.deepEqual(numbersOf(delta.get("w")), expected.delta);
      assert.equal(summary.restores.lost, expected.lost.length);
    });
  }
}
