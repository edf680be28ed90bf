/** What is asked for at once: neighbours of a file, whatever is read of others in between. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FileRange } from "../../src/files/exchange.js";
import { joinRanges } from "../../src/hub/ranges.js";
import type { Exchange } from "../../src/tensor.js";

const range = (file: number, start: number, end: number): FileRange => ({
  fd: { exchange: {} as Exchange, file },
  offsetBytes: start,
  byteLength: end - start,
});
const joined = (ranges: Iterable<FileRange>) => [...joinRanges(ranges, 100, 10)];

test("neighbours become one request, though two files are read in turns", () => {
  const ranges = [range(0, 0, 40), range(1, 7, 47), range(0, 40, 80), range(1, 47, 87)];
  assert.deepEqual(joined(ranges), [
    { file: 0, start: 0, end: 80, wanted: [[0, 80]] },
    { file: 1, start: 7, end: 87, wanted: [[7, 87]] },
  ]);
});

test("a small gap is fetched with them and not counted as wanted; a large one is left out", () => {
  assert.deepEqual(joined([range(0, 0, 10), range(0, 20, 30), range(0, 41, 50)]), [
    {
      ...{ file: 0, start: 0, end: 30 },
      wanted: [
        [0, 10],
        [20, 30],
      ],
    },
    { file: 0, start: 41, end: 50, wanted: [[41, 50]] },
  ]);
});

test("what lies before the last range isn't joined", () => {
  assert.equal(joined([range(0, 50, 60), range(0, 45, 50)]).length, 2);
});

test("local files and empty ranges are left out", () => {
  assert.deepEqual(joined([{ fd: 3, offsetBytes: 0, byteLength: 9 }, range(0, 5, 5)]), []);
});

test("a file that isn't read for a while doesn't keep its beginning back", () => {
  function* ranges() {
    yield range(0, 0, 10);
    for (let start = 0; ; start += 50) yield range(1, start, start + 50);
  }
  const requests = joinRanges(ranges(), 100, 10);
  assert.equal(requests.next().value?.file, 0);
});

test("whatever the ranges are, each is in a request, and none is longer than it may be", () => {
  const ranges = fc.array(
    fc.record({ file: fc.nat(2), start: fc.nat(500), length: fc.integer({ min: 1, max: 120 }) }),
  );
  fc.assert(
    fc.property(ranges, (drawn) => {
      const requests = joined(drawn.map(({ file, start, length }) => range(file, start, start + length)));
      const bytes = requests
        .flatMap(({ wanted }) => wanted)
        .reduce((sum, [from = 0, to = 0]) => sum + to - from, 0);
      assert.equal(
        bytes,
        drawn.reduce((sum, { length }) => sum + length, 0),
      );
      for (const { file, start, length } of drawn) {
        const isIn = requests.some(
          (request) =>
            request.file === file &&
            request.wanted.some(([from = 0, to = 0]) => from <= start && start + length <= to),
        );
        assert.ok(isIn, `${file}: ${start} to ${start + length}`);
      }
      const longest = Math.max(100, ...drawn.map(({ length }) => length));
      assert.ok(requests.every(({ start, end }) => end - start <= longest));
    }),
  );
});
