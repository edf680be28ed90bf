/** Gathering strided views: against a loop that knows nothing of boxes, runs and buffers. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { gather, type OpenView, openView } from "../../src/files/gather.js";
import { openLocalFile } from "../../src/files/local-file.js";
import { MAX_SCATTERED_BYTES, stretchesOf } from "../../src/files/stretches.js";
import {
  bytesOf,
  denseSpan,
  denseStrides,
  elementCount,
  type FloatDType,
  type LocalFile,
  onePiece,
  type TensorPiece,
} from "../../src/tensor.js";
import { refusal } from "../support/refusal.js";

/** Bytes in the file that all views of these tests look into: longer than the reader's buffer. */
const FILE_BYTES = 2_500_000;

const content = Buffer.alloc(FILE_BYTES);
// Every byte differs from those an element or a run away.
for (let i = 0, state = 1; i < FILE_BYTES; i++) {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  content[i] = state >>> 16;
}

const folder = mkdtempSync(join(tmpdir(), "vicuna-test-"));
writeFileSync(join(folder, "data"), content);
const file = openLocalFile(join(folder, "data"));
process.once("exit", () => {
  file.close();
  rmSync(folder, { recursive: true });
});

interface Sample {
  readonly dtype: FloatDType;
  readonly offsetBytes: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

const open = ({ dtype, offsetBytes, shape, strides }: Sample): OpenView =>
  openView(onePiece({ name: "t", dtype, shape, strides, file, offsetBytes }));

/** One element after the other, by the definition of a stride. */
function naively({ dtype, offsetBytes, shape, strides }: Sample, first: number, count: number): Buffer {
  const size = bytesOf(dtype);
  const elements = Array.from({ length: count }, (_, i) => {
    let rest = first + i;
    let at = offsetBytes;
    for (let dim = shape.length - 1; dim >= 0; dim--) {
      const extent = shape[dim] ?? 1;
      at += (rest % extent) * (strides[dim] ?? 0) * size;
      rest = Math.floor(rest / extent);
    }
    return content.subarray(at, at + size);
  });
  return Buffer.concat(elements);
}

/** Checks a range, and that nothing around it in memory is touched. */
function check(sample: Sample, first: number, count: number, destination = 5): void {
  const size = bytesOf(sample.dtype);
  const memory = new Uint8Array(destination + count * size + 7).fill(0xee);
  gather(open(sample), first, count, memory, destination);
  const expected = Buffer.alloc(memory.length, 0xee);
  naively(sample, first, count).copy(expected, destination);
  assert.ok(expected.equals(memory), JSON.stringify({ ...sample, first, count }));
}

const dtypes = fc.constantFrom<FloatDType>("F16", "BF16", "F32", "F64");

/** A view that torch's permute, slicing, select and expand can make of a dense tensor. */
const anyView: fc.Arbitrary<Sample> = fc
  .record({
    dtype: dtypes,
    dims: fc.array(
      fc.record({
        extent: fc.integer({ min: 1, max: 9 }),
        start: fc.nat(8),
        step: fc.integer({ min: 1, max: 3 }),
        expand: fc.oneof(
          { weight: 4, arbitrary: fc.constant(0) },
          { weight: 1, arbitrary: fc.integer({ min: 1, max: 5 }) },
        ),
        key: fc.nat(),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    offset: fc.nat(100),
  })
  .map(({ dtype, dims, offset }) => {
    const strides = denseStrides(dims.map(({ extent }) => extent));
    let start = offset;
    const sliced = dims.map(({ extent, start: from, step, expand, key }, dim) => {
      const skipped = from % extent;
      start += skipped * (strides[dim] ?? 0);
      if (expand > 0) return { extent: expand, stride: 0, key };
      return { extent: Math.ceil((extent - skipped) / step), stride: (strides[dim] ?? 0) * step, key };
    });
    sliced.sort((a, b) => a.key - b.key); // A permutation.
    return {
      dtype,
      offsetBytes: start * bytesOf(dtype) + (offset % 3), // Not aligned: a file may hold anything in front.
      shape: sliced.map(({ extent }) => extent),
      strides: sliced.map(({ stride }) => stride),
    };
  })
  .filter(({ dtype, offsetBytes, shape, strides }) => {
    const last = shape.reduce((sum, extent, dim) => sum + (extent - 1) * (strides[dim] ?? 0), 0);
    return offsetBytes + (last + 1) * bytesOf(dtype) <= FILE_BYTES;
  });

/** A range of `total` elements from two random fractions. */
function rangeOf(total: number, a: number, b: number): [first: number, count: number] {
  const [low, high] = [a % (total + 1), b % (total + 1)].sort((x, y) => x - y) as [number, number];
  return [low, high - low];
}

test("any range of any view equals the naive loop", () => {
  fc.assert(
    fc.property(anyView, fc.nat(), fc.nat(), (sample, a, b) => {
      const [first, count] = rangeOf(elementCount(sample.shape), a, b);
      check(sample, first, count);
    }),
    { numRuns: 1500 },
  );
});

/** The same view in pieces: cut in two in some dimensions, at any place. */
function cutUp(sample: Sample, cuts: readonly (number | null)[]): OpenView {
  const whole = onePiece({ name: "t", file, ...sample });
  const size = bytesOf(sample.dtype);
  const pieces = cuts.reduce<TensorPiece<LocalFile>[]>(
    (before, cut, dim) => {
      if (cut === null || dim >= sample.shape.length) return before;
      const put = (numbers: readonly number[], number: number) => numbers.with(dim, number);
      return before.flatMap((piece) => {
        const extent = piece.extents[dim] ?? 0;
        const at = cut % (extent + 1);
        const skipped = at * (piece.strides[dim] ?? 0) * size;
        const start = put(piece.start, at);
        return [
          { ...piece, extents: put(piece.extents, at) },
          {
            ...piece,
            start,
            extents: put(piece.extents, extent - at),
            offsetBytes: piece.offsetBytes + skipped,
          },
        ].filter(({ extents }) => elementCount(extents) > 0);
      });
    },
    [...whole.pieces],
  );
  return openView({ ...whole, pieces: pieces.reverse() as [TensorPiece<LocalFile>] });
}

test("a view in pieces equals the view", () => {
  const cuts = fc.array(fc.option(fc.nat(20)), { maxLength: 5 });
  fc.assert(
    fc.property(anyView, cuts, fc.nat(), fc.nat(), (sample, at, a, b) => {
      const [first, count] = rangeOf(elementCount(sample.shape), a, b);
      const memory = new Uint8Array(count * bytesOf(sample.dtype));
      gather(cutUp(sample, at), first, count, memory, 0);
      assert.ok(naively(sample, first, count).equals(memory));
    }),
    { numRuns: 1500 },
  );
});

/** How many reads a range takes, and how many bytes they are. */
function readsOf(view: OpenView, first: number, count: number): [reads: number, bytes: number] {
  const stretches = [...stretchesOf(view, first, count)];
  return [stretches.length, stretches.reduce((sum, { byteLength }) => sum + byteLength, 0)];
}

test("bytes that lie together are read together", () => {
  const split = (pieces: readonly object[]) =>
    openView({
      ...{ name: "t", dtype: "F16" as const, shape: [512, 512], grid: [512, 512] },
      pieces: pieces.map((piece) => ({ file, offsetBytes: 0, start: [0, 0], ...piece })) as never,
    });
  const byRows = split([
    { extents: [256, 512], strides: [512, 1] },
    { start: [256, 0], extents: [256, 512], strides: [512, 1] },
  ]);
  assert.deepEqual(readsOf(byRows, 0, 512 * 512), [2, 512 * 1024]);
  assert.deepEqual(readsOf(byRows, 700, 2000), [1, 4000]);
  const byColumns = split([
    { extents: [512, 256], strides: [256, 1] },
    { start: [0, 256], extents: [512, 256], strides: [256, 1] },
  ]);
  assert.deepEqual(readsOf(byColumns, 0, 512 * 512), [2, 512 * 1024]);
  assert.deepEqual(readsOf(byColumns, 700, 2000), [2, 4000], "also where rows begin and end in the middle");
  // Rows of heads of 128, the halves of each interleaved: a range of heads is one stretch, however the rows lie in it.
  const ofHeads = openView({
    ...{ name: "q", dtype: "F16" as const, shape: [512, 512], grid: [4, 2, 64, 512] },
    pieces: [
      {
        ...{ file, offsetBytes: 0, start: [0, 0, 0, 0], extents: [4, 2, 64, 512] },
        strides: [128 * 512, 512, 2 * 512, 1],
      },
    ],
  });
  assert.deepEqual(readsOf(ofHeads, 0, 512 * 512), [1, 512 * 1024]);
  assert.deepEqual(readsOf(ofHeads, 64 * 512, 64 * 512), [1, 127 * 1024]);
  assert.deepEqual(readsOf(ofHeads, 100 * 512 + 5, 64 * 512), [1, 127 * 1024]);
});

test("segments put together are the whole view", () => {
  fc.assert(
    fc.property(anyView, fc.integer({ min: 1, max: 50 }), (sample, segment) => {
      const total = elementCount(sample.shape);
      fc.pre(total <= 2000);
      const size = bytesOf(sample.dtype);
      const memory = new Uint8Array(total * size);
      const input = open(sample);
      for (let first = 0; first < total; first += segment) {
        gather(input, first, Math.min(segment, total - first), memory, first * size);
      }
      assert.ok(naively(sample, 0, total).equals(memory));
    }),
    { numRuns: 300 },
  );
});

const WIDE: [title: string, sample: Sample][] = [
  [
    "a transposed matrix, longer than the buffer",
    { dtype: "F16", offsetBytes: 2, shape: [3, 400_000], strides: [1, 3] },
  ],
  ["strides longer than the buffer", { dtype: "F32", offsetBytes: 0, shape: [7, 5], strides: [1, 20_000] }],
  ["a stride of exactly a page", { dtype: "F32", offsetBytes: 4, shape: [3, 5], strides: [1, 1024] }],
  ["a stride of a little more", { dtype: "F32", offsetBytes: 4, shape: [3, 5], strides: [1, 1028] }],
  [
    "a run that ends exactly at the buffer's end",
    { dtype: "F16", offsetBytes: 0, shape: [2, MAX_SCATTERED_BYTES / 4], strides: [1, 2] },
  ],
  [
    "one element more than fits the buffer",
    { dtype: "F16", offsetBytes: 0, shape: [2, MAX_SCATTERED_BYTES / 4 + 1], strides: [1, 2] },
  ],
  ["an expanded scalar", { dtype: "F64", offsetBytes: 16, shape: [300, 200], strides: [0, 0] }],
  ["an expanded row", { dtype: "F32", offsetBytes: 12, shape: [40, 1000], strides: [0, 1] }],
  ["an expanded column", { dtype: "F32", offsetBytes: 12, shape: [1000, 40], strides: [1, 0] }],
  [
    "the last element of the file",
    { dtype: "F16", offsetBytes: FILE_BYTES - 6, shape: [2, 2], strides: [2, 0] },
  ],
];
for (const [title, sample] of WIDE) {
  test(title, () => {
    const total = elementCount(sample.shape);
    for (const [first, count] of [
      [0, total],
      [1, total - 2],
      [Math.floor(total / 3), Math.ceil(total / 2)],
      [total - 1, 1],
    ] as const) {
      check(sample, first, Math.max(0, count));
    }
  });
}

test("a dense view, rank 0, no elements, no range", () => {
  check({ dtype: "F16", offsetBytes: 3, shape: [100, 70], strides: [70, 1] }, 33, 4000);
  check({ dtype: "F32", offsetBytes: 8, shape: [], strides: [] }, 0, 1);
  check({ dtype: "F32", offsetBytes: 8, shape: [3, 0], strides: [9, 9] }, 0, 0);
  check({ dtype: "F16", offsetBytes: 0, shape: [4, 4], strides: [1, 4] }, 7, 0);
  check({ dtype: "F16", offsetBytes: 0, shape: [1, 5, 1], strides: [77, 1, 99] }, 1, 3);
});

test("a view beyond the file's end is an error that says where", async () => {
  const memory = new Uint8Array(64);
  const dense: Sample = { dtype: "F16", offsetBytes: FILE_BYTES - 4, shape: [4], strides: [1] };
  const where = { file: file.path, offsetBytes: FILE_BYTES };
  await refusal(() => gather(open(dense), 0, 4, memory, 0), "truncated-file", where);
  const strided: Sample = { dtype: "F16", offsetBytes: FILE_BYTES - 4, shape: [2, 2], strides: [1, 2] };
  await refusal(() => gather(open(strided), 0, 4, memory, 0), "truncated-file", where);
});

test("the samples above are strided views, not dense ones", () => {
  const strided = fc
    .sample(anyView, { numRuns: 300, seed: 1 })
    .filter((sample) => denseSpan(open(sample)) === null);
  assert.ok(strided.length > 150, `${strided.length} of 300`);
});
