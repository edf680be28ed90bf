/** What a checkpoint may cost in all: each cost has its limit, and what passes one is refused with its name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Budget, type Cost } from "../src/budget.js";
import { refusal } from "./support/refusal.js";

const LIMITS: readonly (readonly [Cost, number, RegExp])[] = [
  ["files", 4096, /weights files/],
  ["tensors", 8192, /tensors/],
  ["nameBytes", 16_777_216, /bytes of tensor names/],
  ["headerBytes", 33_554_432, /bytes of headers/],
  ["values", 2_097_152, /values in/],
  ["entries", 65_536, /files in the repository/],
  ["listingBytes", 33_554_432, /listing/],
];

for (const [cost, most, message] of LIMITS) {
  test(`as many as are allowed, over any number of files, and not one more: ${cost}`, async () => {
    const budget = new Budget();
    budget.spend(cost, most - 2, "a");
    budget.spend(cost, 2, "b");
    const got = `${most + 1} or more`;
    await refusal(() => budget.spend(cost, 1, "c"), "too-large", { file: "c", message, got });
    // One cost has nothing to do with another.
    for (const [other] of LIMITS) if (other !== cost) budget.spend(other, 1, "d");
  });
}

test("a tensor's name of 4096 bytes is the longest", async () => {
  const budget = new Budget();
  budget.spendTensor("n".repeat(4096), "a");
  budget.spendTensor("é".repeat(2048), "a");
  for (const name of ["n".repeat(4097), "é".repeat(2049), "n".repeat(1_000_000)]) {
    const error = await refusal(() => budget.spendTensor(name, "a"), "too-large", { file: "a" });
    assert.ok((error.details.tensor?.length ?? 0) < 200);
  }
});
