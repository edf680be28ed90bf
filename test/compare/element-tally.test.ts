/** What counts as a difference, element by element: the odd values, the edges of a tolerance, rows that add up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Tolerance } from "../../src/compare/documents.js";
import { addRow, ROW, ROW_LENGTH, tallyBits, tallyValues } from "../../src/compare/element-tally.js";

const EXACT: Tolerance = { absolute: 0, relative: 0 };
const [NAN, INF] = [Number.NaN, Number.POSITIVE_INFINITY];

function tally(a: readonly number[], b: readonly number[], tolerance = EXACT, first = 0): Float64Array {
  const row = new Float64Array(ROW_LENGTH);
  tallyValues(Float64Array.from(a), Float64Array.from(b), tolerance, first, row);
  return row;
}

const fieldsOf = (row: Float64Array, ...fields: (keyof typeof ROW)[]) =>
  fields.map((field) => row[ROW[field]]);

test("-0 equals 0 and NaN equals NaN, as values", () => {
  assert.deepEqual(tally([0, -0, NAN, INF, -INF], [-0, 0, NAN, INF, -INF]), new Float64Array(ROW_LENGTH));
});

test("what isn't finite is counted, beyond any tolerance, and is no largest difference", () => {
  const row = tally([NAN, 1, INF, INF, 1, 3], [1, NAN, -INF, 1, 1, 2], { absolute: 1e300, relative: 2 });
  assert.deepEqual(fieldsOf(row, "differentValues", "beyond", "notFinite"), [5, 4, 4]);
  assert.deepEqual(fieldsOf(row, "absolute", "absoluteAt", "absoluteA", "absoluteB"), [1, 6, 3, 2]);
  // The difference of two finite numbers may not be finite either.
  assert.deepEqual(fieldsOf(tally([1.7e308], [-1.7e308]), "notFinite", "absoluteAt"), [1, 0]);
});

test("the relative difference is of the greater side, and 2 at most", () => {
  assert.deepEqual(fieldsOf(tally([1], [4]), "relative"), [0.75]);
  assert.deepEqual(fieldsOf(tally([4], [1]), "relative"), [0.75]);
  assert.deepEqual(fieldsOf(tally([0], [5e-324]), "relative"), [1]);
  assert.deepEqual(fieldsOf(tally([-3], [3]), "relative"), [2]);
});

test("the largest relative difference is found among subnormals, too", () => {
  const [nearlyOne, least] = [1 - 2 ** -53, 5e-324];
  const row = tally([1, 0], [1 - nearlyOne, -least]);
  assert.deepEqual(fieldsOf(row, "relative", "relativeAt"), [1, 2]);
});

test("a tolerance includes its edge; either tolerance will do", () => {
  const beyond = (absolute: number, relative: number) =>
    tally([1, 8], [1.5, 8.5], { absolute, relative })[ROW.beyond];
  assert.equal(beyond(0.5, 0), 0);
  assert.equal(beyond(0.4999, 0), 2);
  assert.equal(beyond(0, 0.5 / 1.5), 0);
  assert.equal(beyond(0, 0.3), 1);
  assert.equal(beyond(0.1, 0.3), 1);
  assert.equal(beyond(0.5, 0.01), 0);
});

test("the first of equal differences is the largest", () => {
  const row = tally([0, 1, 2, 3], [0, 2, 3, 4], EXACT, 100);
  assert.deepEqual(fieldsOf(row, "firstValue", "absoluteAt"), [102, 102]);
});

for (const size of [1, 2, 4, 8]) {
  test(`elements of ${size} bytes differ if any byte does`, () => {
    for (let byte = 0; byte < size; byte++) {
      const [a, b] = [new Uint8Array(3 * size), new Uint8Array(3 * size)];
      a[2 * size + byte] = 1;
      const row = new Float64Array(ROW_LENGTH);
      tallyBits(a, b, size, 10, row);
      assert.deepEqual(fieldsOf(row, "differentBits", "firstBits"), [1, 13]);
    }
  });
}

test("however the elements are split over rows, the rows add up to the same", () => {
  const value = fc.oneof(fc.double(), fc.constantFrom(0, -0, 1, 2, 3, NAN, INF, -INF));
  const pairs = fc.array(fc.tuple(value, value, fc.nat(2)), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(pairs, (all) => {
      const [a, b] = [all.map(([x]) => x), all.map(([, y]) => y)];
      const whole = tally(a, b);
      const rows = [0, 1, 2].map(() => new Float64Array(ROW_LENGTH));
      for (const [i, [x, y, worker]] of all.entries())
        tallyValues(Float64Array.of(x), Float64Array.of(y), EXACT, i, rows[worker] as Float64Array);
      const sum = new Float64Array(ROW_LENGTH);
      for (const row of rows) addRow(sum, row);
      assert.deepEqual(sum, whole);
    }),
    { numRuns: 500 },
  );
});

test("the largest differences are those a loop over all finds", () => {
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e100, max: 1e100 }),
    fc.integer({ min: -4, max: 4 }),
  );
  const limit = fc.constantFrom(0, 0.25, 0.5, 1, 3);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(number, number), { maxLength: 60 }),
      limit,
      limit,
      (all, absolute, relative) => {
        const row = tally(
          all.map(([x]) => x),
          all.map(([, y]) => y),
          { absolute, relative },
        );
        const differences = all.map(([x, y]) => Math.abs(x - y));
        const shares = all.map(([x, y]) =>
          x === y ? 0 : Math.abs(x - y) / Math.max(Math.abs(x), Math.abs(y)),
        );
        const beyond = all.filter((_, i) => (differences[i] ?? 0) > absolute && (shares[i] ?? 0) > relative);
        assert.equal(row[ROW.absolute], Math.max(0, ...differences));
        assert.equal(row[ROW.relative], Math.max(0, ...shares));
        assert.equal(row[ROW.beyond], beyond.length);
        assert.equal(
          row[ROW.relativeAt],
          shares.findIndex((share) => share > 0 && share === row[ROW.relative]) + 1,
        );
      },
    ),
    { numRuns: 1000 },
  );
});
