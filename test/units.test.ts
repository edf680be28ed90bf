/** Numbers as people read them, at the places where they change their unit or their digits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatBytes, formatCount, formatSeconds, listed, plural } from "../src/units.js";

const TABLES: readonly [string, (value: number) => string, readonly (readonly [number, string])[]][] = [
  [
    "formatBytes",
    formatBytes,
    [
      [0, "0 B"],
      [1, "1 B"],
      [999, "999 B"],
      [1000, "1.00 kB"],
      [1234, "1.23 kB"],
      [9994, "9.99 kB"],
      [9996, "10.0 kB"],
      [99_940, "99.9 kB"],
      [99_960, "100 kB"],
      [999_499, "999 kB"],
      [999_500, "1.00 MB"],
      [13_476_838_400, "13.5 GB"],
      [999_600_000_000, "1.00 TB"],
      [5e15, "5000 TB"],
    ],
  ],
  [
    "formatSeconds",
    formatSeconds,
    [
      [0, "0.0 s"],
      [0.04, "0.0 s"],
      [9.94, "9.9 s"],
      [9.96, "10 s"],
      [10, "10 s"],
      [99.4, "99 s"],
      [99.5, "1 min 40 s"],
      [119.7, "2 min 00 s"],
      [125, "2 min 05 s"],
      [3599.6, "60 min 00 s"],
    ],
  ],
  [
    "formatCount",
    formatCount,
    [
      [0, "0"],
      [999, "999"],
      [93_824, "93,824"],
      [999_999, "999,999"],
      [1_000_000, "1.0 million"],
      [999_960_000, "1.00 billion"],
      [6_738_415_616, "6.74 billion"],
    ],
  ],
];

for (const [name, format, rows] of TABLES) {
  for (const [value, text] of rows) {
    test(`${name}(${value}) is ${text}`, () => assert.equal(format(value), text));
  }
}

test("plural", () => {
  assert.deepEqual(
    [0, 1, 2, 1234].map((count) => plural(count, "shard")),
    ["0 shards", "1 shard", "2 shards", "1,234 shards"],
  );
});

test("a long list is cut, and the rest counted", () => {
  assert.equal(listed(["a", "b"]), "a, b");
  assert.equal(listed(["a", "b", "c", "d"], 2), "a, b, and 2 more");
});
