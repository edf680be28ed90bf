/** A plan cut in parts: every shard in just one, about the same bytes in each, idle parts named. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MergePlan } from "../../src/merge/merge-plan.js";
import { describeIdleParts, planOfPart, readPart } from "../../src/merge/part.js";
import { randomFrom } from "../fuzz/random.js";

/** A plan of which only the shards matter. */
function planOf(byteLengths: readonly number[]): MergePlan {
  const shards = byteLengths.map((byteLength, i) => ({
    fileName: `shard-${i}`,
    byteLength,
    pieces: [],
    placed: [],
  }));
  return {
    shards,
    bytesToWrite: byteLengths.reduce((sum, length) => sum + length, 0),
  } as unknown as MergePlan;
}

const partsOf = (plan: MergePlan, count: number) =>
  Array.from({ length: count }, (_, i) => planOfPart(plan, { number: i + 1, count }));

const namesOf = (plan: MergePlan) => plan.shards.map(({ fileName }) => fileName);

test("every shard is in just one part, in its order", () => {
  const random = randomFrom("parts");
  for (let round = 0; round < 200; round++) {
    const plan = planOf(Array.from({ length: 1 + random(40) }, () => 1 + random(1e9)));
    const parts = partsOf(plan, 1 + random(12));
    assert.deepEqual(parts.flatMap(namesOf), namesOf(plan));
    assert.equal(
      parts.reduce((sum, part) => sum + part.bytesToWrite, 0),
      plan.bytesToWrite,
    );
  }
});

test("a part has at most one shard more than its share of the bytes", () => {
  const largest = 5e9;
  const plan = planOf([...Array.from({ length: 27 }, (_, i) => largest - i * 1e8), 1e8]);
  for (const part of partsOf(plan, 4)) {
    assert.ok(Math.abs(part.bytesToWrite - plan.bytesToWrite / 4) <= largest, String(part.bytesToWrite));
  }
});

test("parts without a shard are named, with the size that gives each one", () => {
  const plan = planOf([5e9, 5e9, 3.5e9]);
  assert.equal(describeIdleParts(plan, 3), null);
  assert.equal(
    describeIdleParts(plan, 4),
    "1 of 4 parts have nothing to do: the target has only 3 shards. For more of them, give every part --max-shard-size 3375MB.",
  );
});

test("a part is read as i/n", () => {
  assert.deepEqual(readPart("2/4"), { number: 2, count: 4 });
  for (const text of ["", "0/4", "5/4", "2", "2/", "a/b", "2/4/4", "-1/4", "1/9999", "1.5/4"]) {
    assert.throws(() => readPart(text), { code: "bad-usage" }, text);
  }
});
