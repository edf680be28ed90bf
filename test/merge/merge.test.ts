/**
 * Whole merges in this process, compared number by number with sums made in double arithmetic: every dtype on either
 * side, every dtype to write, shapes and layouts that are unlike one another, all kernels, any number of threads.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { elementCount, type FloatDType } from "../../src/tensor.js";
import { SEGMENT_BYTES } from "../../src/workers/segments.js";
import { assertTensor, repeated } from "../support/expected-sums.js";
import { mergeFiles as merge } from "../support/merge-files.js";
import { floats, safetensorsFile, type Tensor } from "../support/model-folder.js";
import { decodeNumbers, seededNormals } from "../support/numbers.js";

const FLOATS: readonly FloatDType[] = ["F16", "BF16", "F32", "F64"];

/** Numbers that arithmetic goes wrong on; every one meets every other. */
const EDGES = [
  ...[0, -0, 1, -1, 65504, -65504, 65519.99, 65520, 3.4e38, -3.4e38, 1e300],
  ...[2 ** -14, 2 ** -24, -(2 ** -24), 1.5 * 2 ** -25, 2 ** -25, 2 ** -126, 2 ** -133, -(2 ** -149)],
  ...[1 + 2 ** -10, 1 + 2 ** -11, 1 + 2 ** -11 + 2 ** -30, 2048, 2049, 0.1, -0.1],
  ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
];

/** Weights of a model and small changes, and every pair of edges in one tensor. */
function sidesOf(baseDType: FloatDType, deltaDType: FloatDType): { base: Tensor; delta: Tensor }[] {
  const normal = seededNormals(5);
  const normals = (count: number, deviation: number) =>
    Array.from({ length: count }, () => normal() * deviation);
  const pair = EDGES.flatMap((a) => EDGES.map((b) => [a, b] as const));
  const numbers: [string, number[], number[], number[]][] = [
    ["edges", [pair.length], pair.map(([a]) => a), pair.map(([, b]) => b)],
    ...Object.entries({ matrix: [31, 33], odd: [7], scalar: [], none: [0, 4], deep: [2, 1, 3, 1, 5] }).map(
      ([name, shape]): [string, number[], number[], number[]] => {
        const count = elementCount(shape);
        return [name, shape, normals(count, 0.02), normals(count, 1e-3)];
      },
    ),
  ];
  return numbers.map(([name, shape, base, delta]) => ({
    base: floats(`${baseDType} + ${deltaDType} ${name}`, baseDType, shape, base),
    delta: floats(`${baseDType} + ${deltaDType} ${name}`, deltaDType, shape, delta),
  }));
}

test("every dtype on either side, every dtype to write, both kernels", async (context) => {
  const tensors = FLOATS.flatMap((base) => FLOATS.flatMap((delta) => sidesOf(base, delta)));
  const sides = {
    base: safetensorsFile(tensors.map(({ base }) => base)),
    delta: safetensorsFile(tensors.map(({ delta }) => delta)),
  };
  for (const dtype of ["auto", "F16", "BF16", "F32"] as const) {
    const { tensors: got, bytes } = await merge(context, sides, { dtype, kernel: "simd" });
    for (const { base, delta } of tensors)
      assertTensor(got.get(delta.name), { base, delta, dtype }, `${delta.name} in ${dtype}`);
    const reference = await merge(context, sides, { dtype, kernel: "reference" });
    assert.deepEqual(bytes, reference.bytes, "kernels differ");
  }
});

for (const [baseDType, deltaDType, dtype, threads] of [
  ["F16", "F16", "auto", 16],
  ["F64", "BF16", "F32", 3],
  ["BF16", "F32", "F16", 2],
] as const) {
  test(`tensors of several segments: ${baseDType} and ${deltaDType} to ${dtype}, 1 and ${threads} threads`, async (context) => {
    const shape = [691, 2287]; // Odd, and three segments and a bit in 16 bits.
    const base = repeated("large", baseDType, shape, 0.02, 5);
    const delta = repeated("large", deltaDType, shape, 1e-3, 7);
    assert.ok(delta.bytes.length > 3 * SEGMENT_BYTES, "several segments");
    const beside = [floats("after", "F16", [3], [1, 2, 3]), floats("before", "F16", [1], [4])];
    const sides = {
      base: safetensorsFile([beside[1] as Tensor, base, beside[0] as Tensor]),
      delta: safetensorsFile([delta, ...beside]),
    };
    const one = await merge(context, sides, { dtype, threads: 1 });
    assertTensor(one.tensors.get("large"), { base, delta, dtype }, "large");
    for (const tensor of beside)
      assertTensor(one.tensors.get(tensor.name), { base: tensor, delta: tensor, dtype }, tensor.name);
    assert.deepEqual((await merge(context, sides, { dtype, threads })).bytes, one.bytes);
  });
}

test("three thousand small tensors, and more threads than segments", async (context) => {
  const tensors = (deviation: number, seed: number) => {
    const normal = seededNormals(seed);
    return Array.from({ length: 3000 }, (_, i) =>
      floats(
        `t.${i}`,
        "F16",
        [1 + (i % 5)],
        Array.from({ length: 1 + (i % 5) }, () => normal() * deviation),
      ),
    );
  };
  const [base, delta] = [tensors(0.02, 1), tensors(1e-3, 2)];
  const sides = { base: safetensorsFile(base), delta: safetensorsFile(delta) };
  const { tensors: got, bytes } = await merge(context, sides, { threads: 4 });
  for (const [i, tensor] of delta.entries())
    assertTensor(got.get(tensor.name), { base: base[i] ?? null, delta: tensor }, tensor.name);

  const few = { base: safetensorsFile(base.slice(0, 2)), delta: safetensorsFile(delta.slice(0, 2)) };
  const small = await merge(context, few, { threads: 64 });
  assert.deepEqual([...small.tensors.keys()].sort(), ["t.0", "t.1"]);
  assert.ok(bytes.length > small.bytes.length);
});

test("tensors without elements only", async (context) => {
  const none = safetensorsFile([floats("none", "F16", [0, 3], [])]);
  const { tensors } = await merge(context, { base: none, delta: none });
  assert.deepEqual(tensors.get("none")?.shape, [0, 3]);
});

for (const dtype of ["F16", "BF16", "F32"] as const) {
  test(`new rows of an embedding in ${dtype}: the base counts as zeros, so -0 becomes 0`, async (context) => {
    const name = "model.embed_tokens.weight";
    const row = [-0, 0, 1, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** -24];
    const base = floats(
      name,
      "F16",
      [3, 7],
      Array.from({ length: 21 }, (_, i) => i / 8),
    );
    const delta = floats(name, dtype, [5, 7], [...row, ...row, ...row, ...row, ...row]);
    const sides = { base: safetensorsFile([base]), delta: safetensorsFile([delta]) };
    for (const written of ["F16", "BF16", "F32"] as const) {
      const { tensors } = await merge(context, sides, { dtype: written });
      assertTensor(tensors.get(name), { base, delta, dtype: written }, `${name} in ${written}`);
      const values = decodeNumbers(written, tensors.get(name)?.bytes ?? new Uint8Array());
      assert.ok(Object.is(values[21], 0) && Object.is(values[28], 0), "-0 in a new row is +0");
    }
  });
}

test("copied tensors keep every bit, unless another dtype is asked for", async (context) => {
  // A signalling NaN, -0, the least subnormal, a NaN with a payload.
  const bits = new Uint8Array(Uint16Array.of(0x7c01, 0x8000, 0x0001, 0xfe37, 0x3c00).buffer);
  const shared = floats("shared", "F16", [2], [1, 2]);
  const onBase: Tensor = { name: "on.base", dtype: "F16", shape: [5], bytes: bits };
  const onDelta: Tensor = { name: "on.delta", dtype: "BF16", shape: [5], bytes: bits };
  const wide = floats("wide", "F64", [3], [0.1, -0, 1e-300]);
  const sides = { base: safetensorsFile([shared, onBase, wide]), delta: safetensorsFile([shared, onDelta]) };
  const rules = { baseOnly: "keep", deltaOnly: "keep" } as const;
  for (const kernel of ["reference", "simd"] as const) {
    const { tensors } = await merge(context, sides, { rules, kernel });
    assert.deepEqual(Buffer.from(tensors.get("on.base")?.bytes ?? []), Buffer.from(bits));
    assert.deepEqual(Buffer.from(tensors.get("on.delta")?.bytes ?? []), Buffer.from(bits));
    assertTensor(tensors.get("wide"), { base: wide, delta: null }, "wide");
    const narrowed = await merge(context, sides, { rules, kernel, dtype: "F32" });
    assertTensor(narrowed.tensors.get("on.base"), { base: onBase, delta: null, dtype: "F32" }, "on.base");
    assertTensor(narrowed.tensors.get("on.delta"), { base: null, delta: onDelta, dtype: "F32" }, "on.delta");
  }
});
