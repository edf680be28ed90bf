/** How many actions a limit lets run at once, and in which order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { createLimit } from "../src/limit.js";

test("no more actions run at once than there are places, in the order they came", async () => {
  const limit = createLimit(2);
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const results = await Promise.all(
    [0, 1, 2, 3, 4].map((number) =>
      limit.run(async () => {
        begun.push(number);
        most = Math.max(most, ++running);
        await setImmediate();
        running--;
        return number;
      }),
    ),
  );
  assert.deepEqual(results, [0, 1, 2, 3, 4]);
  assert.deepEqual(begun, [0, 1, 2, 3, 4]);
  assert.equal(most, 2);
});

test("an action that fails gives its place back", async () => {
  const limit = createLimit(1);
  await assert.rejects(
    limit.run(() => Promise.reject(new Error("no"))),
    /no/,
  );
  assert.equal(await limit.run(async () => "yes"), "yes");
});

test("a place that is kept is free once it is left", async () => {
  const limit = createLimit(1);
  const leave = await limit.enter();
  let hasRun = false;
  const later = limit.run(async () => {
    hasRun = true;
  });
  await setImmediate();
  assert.equal(hasRun, false);
  leave();
  await later;
  assert.equal(hasRun, true);
});
