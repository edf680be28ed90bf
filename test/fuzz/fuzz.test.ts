/**
 * A few thousand seeded cases over every reader: each ends in a typed error or a valid result. `npm run fuzz` runs any
 * number more; the runner, not the test, decides what a hang is and what is too much memory.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runJobs } from "./run-jobs.js";
import { TARGETS } from "./targets.js";

const SEED = 0x5eed;
const CASES = 400;

test(`every reader, seed ${SEED}`, async () => {
  const jobs = TARGETS.map(({ name, share }) => ({
    target: name,
    first: 0,
    count: Math.ceil(CASES * share),
  }));
  const results = await runJobs(jobs, SEED);
  for (const { job, report, failure } of results) {
    const again = `npm run fuzz -- --seed ${SEED} --target ${job.target} --case ${failure?.number}`;
    assert.equal(failure, null, `${failure?.what}\n${failure?.saved}\n${again}`);
    // Cases that all end alike test nothing.
    assert.ok(Object.keys(report?.outcomes ?? {}).length > 1, JSON.stringify(report));
  }
  assert.equal(results.length, TARGETS.length);
});
