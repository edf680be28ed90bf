/** Segments in hand at once: none waits for the end of the others. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { segmentedJob, workOnSegments } from "../../src/workers/segments.js";

test("a segment that waits for a read is done soon, though the other place never waits", async () => {
  const job = segmentedJob([{ elementCount: 5000, segmentElements: 1, lead: 0 }], 1);
  const done: number[] = [];
  await workOnSegments(job, 2, async ({ number }) => {
    if (number === 1) await readFile(fileURLToPath(import.meta.url));
    done.push(number);
  });
  assert.equal(done.length, 5000);
  assert.ok(done.indexOf(1) < 4999, "it was the last");
});
