/** The way that writes go, on a clock of the test's own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { WriteTrial } from "../../src/files/write-trial.js";

/** The ways of 100 segments that take these times. */
function waysOf(directMs: number, cachedMs: number): boolean[] {
  const trial = new WriteTrial();
  let nowMs = 1000;
  return Array.from({ length: 100 }, () => {
    const isDirect = trial.isDirect(nowMs);
    nowMs += isDirect ? directMs : cachedMs;
    return isDirect;
  });
}

test("both ways are tried, and the cache is kept where it is clearly faster", () => {
  const tried = [...Array(16).fill(true), ...Array(16).fill(false)];
  assert.deepEqual(waysOf(5, 20), [...tried, ...Array(68).fill(true)]);
  assert.deepEqual(waysOf(20, 5), [...tried, ...Array(68).fill(false)]);
  assert.deepEqual(waysOf(9, 5), [...tried, ...Array(68).fill(true)]);
  assert.deepEqual(waysOf(5, 5), [...tried, ...Array(68).fill(true)]);
});
