/** What counts as a difference, element by element: the odd values, the edges of a tolerance, counts that add up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Tolerance } from "../../src/compare/documents.js";
import {
  addTallies,
  NO_DIFFERENCE,
  type Tally,
  tallyBits,
  tallyValues,
} from "../../src/compare/element-tally.js";

const EXACT: Tolerance = { absolute: 0, relative: 0 };
const [NAN, INF] = [Number.NaN, Number.POSITIVE_INFINITY];

function tally(a: readonly number[], b: readonly number[], tolerance = EXACT, first = 0): Tally {
  return tallyValues(Float64Array.from(a), Float64Array.from(b), tolerance, first);
}

test("-0 equals 0 and NaN equals NaN, as values", () => {
  assert.deepEqual(tally([0, -0, NAN, INF, -INF], [-0, 0, NAN, INF, -INF]), NO_DIFFERENCE);
});

test("what isn't finite is counted, beyond any tolerance, and is no largest difference", () => {
  const found = tally([NAN, 1, INF, INF, 1, 3], [1, NAN, -INF, 1, 1, 2], { absolute: 1e300, relative: 2 });
  assert.deepEqual([found.differentValues, found.beyond, found.notFinite], [5, 4, 4]);
  assert.deepEqual(found.absolute, { difference: 1, at: 5, a: 3, b: 2 });
  // The difference of two finite numbers may not be finite either.
  const huge = tally([1.7e308], [-1.7e308]);
  assert.deepEqual([huge.notFinite, huge.absolute], [1, NO_DIFFERENCE.absolute]);
});

test("the relative difference is of the greater side, and 2 at most", () => {
  assert.equal(tally([1], [4]).relative.difference, 0.75);
  assert.equal(tally([4], [1]).relative.difference, 0.75);
  assert.equal(tally([0], [5e-324]).relative.difference, 1);
  assert.equal(tally([-3], [3]).relative.difference, 2);
});

test("the largest relative difference is found among subnormals, too", () => {
  const [nearlyOne, least] = [1 - 2 ** -53, 5e-324];
  const { relative } = tally([1, 0], [1 - nearlyOne, -least]);
  assert.deepEqual([relative.difference, relative.at], [1, 1]);
});

test("a tolerance includes its edge; either tolerance will do", () => {
  const beyond = (absolute: number, relative: number) =>
    tally([1, 8], [1.5, 8.5], { absolute, relative }).beyond;
  assert.equal(beyond(0.5, 0), 0);
  assert.equal(beyond(0.4999, 0), 2);
  assert.equal(beyond(0, 0.5 / 1.5), 0);
  assert.equal(beyond(0, 0.3), 1);
  assert.equal(beyond(0.1, 0.3), 1);
  assert.equal(beyond(0.5, 0.01), 0);
});

test("the first of equal differences is the largest", () => {
  const { firstValue, absolute } = tally([0, 1, 2, 3], [0, 2, 3, 4], EXACT, 100);
  assert.deepEqual([firstValue, absolute.at], [101, 101]);
});

for (const size of [1, 2, 4, 8]) {
  test(`elements of ${size} bytes differ if any byte does`, () => {
    for (let byte = 0; byte < size; byte++) {
      const [a, b] = [new Uint8Array(3 * size), new Uint8Array(3 * size)];
      a[2 * size + byte] = 1;
      const { differentBits, firstBits } = tallyBits(a, b, size, 10);
      assert.deepEqual([differentBits, firstBits], [1, 12]);
      b[0] = 1;
      assert.deepEqual(tallyBits(a, b, size, 0), { ...NO_DIFFERENCE, differentBits: 2, firstBits: 0 });
    }
  });
}

test("however the elements are split over workers, what they find adds up to the same", () => {
  const value = fc.oneof(fc.double(), fc.constantFrom(0, -0, 1, 2, 3, NAN, INF, -INF));
  const pairs = fc.array(fc.tuple(value, value, fc.nat(2)), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(pairs, (all) => {
      const [a, b] = [all.map(([x]) => x), all.map(([, y]) => y)];
      const whole = tally(a, b);
      const tallies = [0, 1, 2].map((worker) =>
        all
          .flatMap(([x, y, by], i) => (by === worker ? [tally([x], [y], EXACT, i)] : []))
          .reduce(addTallies, NO_DIFFERENCE),
      );
      assert.deepEqual(tallies.reduce(addTallies), whole);
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
        const found = tally(
          all.map(([x]) => x),
          all.map(([, y]) => y),
          { absolute, relative },
        );
        const differences = all.map(([x, y]) => Math.abs(x - y));
        const shares = all.map(([x, y]) =>
          x === y ? 0 : Math.abs(x - y) / Math.max(Math.abs(x), Math.abs(y)),
        );
        const beyond = all.filter((_, i) => (differences[i] ?? 0) > absolute && (shares[i] ?? 0) > relative);
        assert.equal(found.absolute.difference, Math.max(0, ...differences));
        assert.equal(found.relative.difference, Math.max(0, ...shares));
        assert.equal(found.beyond, beyond.length);
        const first = shares.findIndex((share) => share > 0 && share === found.relative.difference);
        assert.equal(found.relative.at, first < 0 ? INF : first);
      },
    ),
    { numRuns: 1000 },
  );
});
