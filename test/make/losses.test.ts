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

interface Case extends Numbers {
  readonly name: string;
  readonly dtype: SumDType;
}

/** Makes and applies the delta of a model of these tensors, and holds everything against the count by brute force. */
async function check(context: TestContext, cases: readonly Case[]): Promise<number[]> {
  const file = (side: keyof Numbers) =>
    safetensorsFile(cases.map((each) => floats(each.name, each.dtype, [each.tuned.length], each[side])));
  const pair = { base: file("base"), tuned: file("tuned") };
  const expected = cases.map((each) => ({ ...bruteForce(each.dtype, each), name: each.name }));
  const total = (of: "lost" | "zeroSigns") => expected.reduce((sum, each) => sum + each[of].length, 0);
  for (const kernel of ["simd", "reference"] as const) {
    const { summary, delta, restored } = await makeAndApply(context, pair, { kernel });
    for (const each of expected) {
      assert.deepEqual(numbersOf(delta.get(each.name)), each.delta, each.name);
      assert.deepEqual(numbersOf(restored.get(each.name)), each.restored, each.name);
    }
    const { isExact, lost, zeroSigns, listed } = summary.restores;
    assert.deepEqual([isExact, lost, zeroSigns], [total("lost") === 0, total("lost"), total("zeroSigns")]);
    for (const { tensor, elements, first } of listed) {
      const each = expected.find(({ name }) => name === tensor);
      assert.deepEqual([elements, first], [each?.lost.length, each?.lost[0]], tensor);
    }
  }
  return expected.map(({ lost }) => lost.length);
}

/** Numbers that arithmetic goes wrong on; every one meets every other. */
const EDGES = [
  ...[0, -0, 1, -1, 2048, 2049, 65504, -65504, 3e38, -3e38, 0.1, -0.1, 1 + 2 ** -10, 1 + 2 ** -7],
  ...[2 ** -14, 2 ** -24, -(2 ** -24), 2 ** -126, 2 ** -133, -(2 ** -149)],
  ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
];

test("every pair of edges", async (context) => {
  const cases = DTYPES.map((dtype) => {
    const edges = EDGES.map((value) => roundTo(dtype, value));
    const pairs = edges.flatMap((base) => edges.map((tuned) => [base, tuned] as const));
    return { name: dtype, dtype, base: pairs.map(([base]) => base), tuned: pairs.map(([, tuned]) => tuned) };
  });
  for (const lost of await check(context, cases)) assert.ok(lost > 10);
});

test("any numbers", async (context) => {
  const cases = DTYPES.map((dtype) => {
    const size = bytesOf(dtype);
    const most = 2 ** (8 * size) - 1;
    const element = fc.integer({ min: 0, max: most });
    // Half of all pairs are near one another, as tuned weights are.
    const pair = fc
      .tuple(element, element, fc.integer({ min: -40, max: 40 }), fc.boolean())
      .map(([a, b, step, isNear]) => [a, isNear ? Math.min(Math.max(a + step, 0), most) : b] as const);
    const pairs = fc.sample(pair, { numRuns: 3000, seed: 20230413 });
    const decode = (bits: readonly number[]) => {
      const bytes = size === 2 ? Uint16Array.from(bits) : Uint32Array.from(bits);
      return Array.from(decodeNumbers(dtype, new Uint8Array(bytes.buffer)));
    };
    const side = (index: 0 | 1) => decode(pairs.map((each) => each[index]));
    return { name: dtype, dtype, base: side(0), tuned: side(1) };
  });
  await check(context, cases);
});

test("tuning within half of each weight always comes back", async (context) => {
  const cases = DTYPES.map((dtype) => {
    const normal = seededNormals(3);
    const base = Array.from({ length: 5000 }, () => roundTo(dtype, normal() * 0.02));
    const tuned = base.map((value) => {
      const near = roundTo(dtype, value * (1 + 0.45 * Math.tanh(normal())));
      return near === 0 ? 0 : near;
    });
    return { name: dtype, dtype, base, tuned };
  });
  assert.deepEqual(await check(context, cases), [0, 0, 0]);
});

test("a weight much smaller than the base's is rounded away: counted, not hidden", async (context) => {
  const numbers = { base: [2048, 2050, 1, 1], tuned: [1.0009765625, 2052, -0, 1.5] };
  assert.deepEqual(await check(context, [{ name: "w", dtype: "F16", ...numbers }]), [2]);
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

test("a base in another dtype is rounded to the tuned model's before it is taken away", async (context) => {
  const FLOATS = ["F16", "BF16", "F32", "F64"] as const;
  const normal = seededNormals(5);
  const base = Array.from({ length: 999 }, () => normal() * 0.02);
  const tuned = base.map((value) => value + normal() * 1e-3);
  const pairs = FLOATS.flatMap((of) => FLOATS.map((from) => ({ name: `${from} to ${of}`, of, from })));
  const { summary, delta } = await makeAndApply(context, {
    base: safetensorsFile(pairs.map(({ name, from }) => floats(name, from, [999], base))),
    tuned: safetensorsFile(pairs.map(({ name, of }) => floats(name, of, [999], tuned))),
  });
  let lost = 0;
  for (const { name, of, from } of pairs) {
    const dtype = of === "F64" ? "F32" : of;
    const stored = (as: FloatDType, values: readonly number[]) =>
      Array.from(decodeNumbers(as, encodeNumbers(as, values)), (value) =>
        as === dtype ? value : convertTo(dtype, as, value),
      );
    const expected = bruteForce(dtype, { base: stored(from, base), tuned: stored(of, tuned) });
    assert.equal(delta.get(name)?.dtype, dtype);
    assert.deepEqual(numbersOf(delta.get(name)), expected.delta, name);
    lost += expected.lost.length;
  }
  assert.equal(summary.restores.lost, lost);
});
