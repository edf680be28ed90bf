/** Whole comparisons against a loop over plain numbers: every pair of dtypes, strides, formats, shards, odd lengths. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { compareModels } from "../../src/compare/compare-models.js";
import { COMPARED_BYTES } from "../../src/compare/compare-tensors.js";
import { bytesOf, elementCount, type FloatDType } from "../../src/tensor.js";
import {
  floats,
  safetensorsFile,
  type Tensor,
  temporaryFolder,
  torchFile,
  writeModel,
} from "../support/model-folder.js";
import { decodeNumbers, encodeNumbers } from "../support/numbers.js";
import { checkpointEntries, stateDict, storedZip, tensor as torchTensor } from "../support/torch-samples.js";

const DTYPES = ["F16", "BF16", "F32", "F64"] as const;
const STORAGES = { F16: "HalfStorage", BF16: "BFloat16Storage", F32: "FloatStorage", F64: "DoubleStorage" };

interface Matrix {
  readonly name: string;
  readonly dtype: FloatDType;
  readonly shape: readonly [number, number];
  readonly values: readonly number[];
}

/** A PyTorch file whose matrices lie column by column, each behind three elements that aren't its own. */
function transposedFile(matrices: readonly Matrix[]): Buffer {
  const nodes: Record<string, Buffer> = {};
  const records: Record<string, Buffer> = {};
  for (const [i, { name, dtype, shape, values }] of matrices.entries()) {
    const [rows, columns] = shape;
    const stored = new Float64Array(3 + rows * columns);
    for (const [at, value] of values.entries())
      stored[3 + (at % columns) * rows + Math.floor(at / columns)] = value;
    const view = { offset: 3, shape, strides: [1, rows] };
    nodes[name] = torchTensor({ key: `${i}`, type: STORAGES[dtype], numel: stored.length, ...view });
    records[i] = Buffer.from(encodeNumbers(dtype, stored));
  }
  return storedZip(checkpointEntries(stateDict(nodes), records));
}

const asTensor = ({ name, dtype, shape, values }: Matrix) => floats(name, dtype, shape, values);

const LAYOUTS = {
  safetensors: (matrices: readonly Matrix[]) => safetensorsFile(matrices.map(asTensor)),
  torch: (matrices: readonly Matrix[]) => torchFile(matrices.map(asTensor)),
  transposed: transposedFile,
};
const LAYOUT_NAMES = Object.keys(LAYOUTS) as (keyof typeof LAYOUTS)[];
const DTYPE_PAIRS = DTYPES.flatMap((a) => DTYPES.map((b) => ({ a, b })));

/** What one element of each side, as stored, makes of the counts. */
function expected(a: Tensor, b: Tensor, absolute: number) {
  const [x, y] = [a, b].map(({ dtype, bytes }) => decodeNumbers(dtype as FloatDType, bytes)) as [
    Float64Array,
    Float64Array,
  ];
  const size = bytesOf(a.dtype as FloatDType);
  const element = ({ bytes }: Tensor, i: number) =>
    Buffer.from(bytes.subarray(i * size, (i + 1) * size)).toString("hex");
  const all = [...x.keys()];
  const valuesDiffer = (i: number) => x[i] !== y[i] && !(Number.isNaN(x[i]) && Number.isNaN(y[i]));
  const differenceAt = (i: number) => Math.abs((x[i] ?? 0) - (y[i] ?? 0));
  const hasSize = (i: number) => Number.isFinite(differenceAt(i));
  const different = all.filter(valuesDiffer);
  const largest = Math.max(0, ...different.filter(hasSize).map(differenceAt));
  return {
    differentBits: a.dtype === b.dtype ? all.filter((i) => element(a, i) !== element(b, i)).length : null,
    differentValues: different.length,
    beyondTolerance: different.filter((i) => !(differenceAt(i) <= absolute)).length,
    notFinite: different.filter((i) => !hasSize(i)).length,
    largest,
    at: largest === 0 ? -1 : different.find((i) => differenceAt(i) === largest),
  };
}

test("any two float tensors, in any layout, compare as a loop over their numbers does", async (t) => {
  const root = temporaryFolder(t);
  const special = fc.constantFrom(0, -0, 1, -1, 1.5, 65504, 2 ** -24, Number.NaN, Number.POSITIVE_INFINITY);
  const value = fc.oneof(special, fc.double({ min: -10, max: 10, noNaN: true }));
  const shapes = fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 }));
  /** Where the second number is null, the sides agree as far as their dtypes do. */
  const pairs = fc.tuple(
    ...DTYPE_PAIRS.map((dtypes, i) =>
      shapes.chain((shape) => {
        const length = { minLength: elementCount(shape), maxLength: elementCount(shape) };
        return fc.array(fc.tuple(value, fc.option(value, { freq: 2 })), length).map((numbers) => {
          const matrix = { name: `w${i}`, shape };
          return {
            a: { ...matrix, dtype: dtypes.a, values: numbers.map(([x]) => x) },
            b: { ...matrix, dtype: dtypes.b, values: numbers.map(([x, y]) => y ?? x) },
          };
        });
      }),
    ),
  );
  const layout = fc.constantFrom(...LAYOUT_NAMES);
  const tolerance = 0.5;
  const paths = { a: join(root, "a"), b: join(root, "b") };
  await fc.assert(
    fc.asyncProperty(layout, layout, pairs, async (layoutA, layoutB, matrices) => {
      writeFileSync(paths.a, LAYOUTS[layoutA](matrices.map(({ a }) => a)));
      writeFileSync(paths.b, LAYOUTS[layoutB](matrices.map(({ b }) => b)));
      const { differing, isEqual } = await compareModels({ ...paths, tolerance, weightsOnly: true });
      let beyond = 0;
      for (const { a, b } of matrices) {
        const { largest, at, ...counts } = expected(asTensor(a), asTensor(b), tolerance);
        beyond += counts.beyondTolerance;
        const got = differing.find(({ name }) => name === a.name);
        if (got === undefined) {
          assert.deepEqual([counts.differentBits, counts.differentValues], [0, 0]);
          continue;
        }
        const { differentBits, differentValues, beyondTolerance, notFinite } = got;
        assert.deepEqual({ differentBits, differentValues, beyondTolerance, notFinite }, counts);
        assert.equal(got.largestAbsolute?.difference ?? 0, largest);
        const [row = 0, column = 0] = got.largestAbsolute?.index ?? [];
        assert.equal(got.largestAbsolute === null ? -1 : row * a.shape[1] + column, at);
      }
      assert.equal(isEqual, beyond === 0);
    }),
    { numRuns: 30 },
  );
});

for (const threads of [1, 2, 5]) {
  test(`a tensor of several segments and an odd end, ${threads} threads`, async (t) => {
    const root = temporaryFolder(t);
    const perSegment = COMPARED_BYTES / 2;
    const count = 3 * perSegment + 7;
    const bytes = new Uint8Array(2 * count);
    const changed = bytes.slice();
    // The last and the first element of segments, and the very last.
    for (const [i, element] of [perSegment - 1, perSegment, 2 * perSegment, count - 1].entries())
      changed[2 * element] = i + 1;
    const tensor = (name: string, data: Uint8Array): Tensor => ({
      name,
      dtype: "F16",
      shape: [count],
      bytes: data,
    });
    const a = writeModel(join(root, "a"), [tensor("u", bytes), tensor("v", bytes)]);
    const b = writeModel(join(root, "b"), [tensor("u", bytes), tensor("v", changed)], {
      format: "torch",
      shards: 2,
    });
    const { tensors, differing, elements } = await compareModels({ a, b, threads });
    assert.deepEqual(tensors, { compared: 2, equalBits: 1, withinTolerance: 0, different: 1 });
    assert.equal(elements, 2 * count);
    const [only] = differing;
    assert.deepEqual([only?.name, only?.differentBits, only?.differentValues], ["v", 4, 4]);
    assert.deepEqual(only?.first, [perSegment - 1]);
    assert.deepEqual(only?.largestAbsolute, {
      difference: 4 * 2 ** -24,
      index: [count - 1],
      a: 0,
      b: 4 * 2 ** -24,
    });
    assert.deepEqual(only?.largestRelative?.index, [perSegment - 1]);
  });
}

test("integers, small floats and elements of less than a byte are compared by their bytes", async (t) => {
  const root = temporaryFolder(t);
  const cases: readonly [string, number[], number[], number][] = [
    ["I8", [4], [0, 0, 1, 0], 1],
    ["I64", [2], [...new Array<number>(15).fill(0), 1], 1],
    ["F8_E4M3", [3], [0, 1, 1], 2],
    ["BOOL", [2], [1, 0], 1],
    ["F4", [4], [0, 9], 1],
  ];
  for (const [dtype, shape, changed, count] of cases) {
    const side = (name: string, bytes: Uint8Array) =>
      writeModel(join(root, `${name}-${dtype}`), [{ name: "w", dtype, shape, bytes }]);
    const a = side("a", new Uint8Array(changed.length));
    const { differing, isEqual } = await compareModels({
      a,
      b: side("b", Uint8Array.from(changed)),
      tolerance: 100,
    });
    // A tolerance is for floats.
    assert.equal(isEqual, false, dtype);
    const [only] = differing;
    assert.deepEqual(
      [only?.differentBits, only?.differentValues, only?.largestAbsolute],
      [count, null, null],
      dtype,
    );
    assert.equal(
      (await compareModels({ a, b: side("c", new Uint8Array(changed.length)) })).isEqual,
      true,
      dtype,
    );
  }
});

test("empty tensors and scalars", async (t) => {
  const root = temporaryFolder(t);
  const side = (name: string, scalar: number) =>
    writeModel(join(root, name), [floats("empty", "F32", [0, 4], []), floats("scalar", "F32", [], [scalar])]);
  const [a, b] = [side("a", 1), side("b", 2)];
  assert.equal((await compareModels({ a, b: side("c", 1) })).isEqual, true);
  const { differing, elements } = await compareModels({ a, b });
  assert.equal(elements, 1);
  assert.deepEqual(differing[0]?.largestAbsolute, { difference: 1, index: [], a: 1, b: 2 });
});
