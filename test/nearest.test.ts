import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestName } from "../src/nearest.js";

const NAMES = ["verify", "compare", "inspect", "make", "llama-7b", "llama-13b"];

test("one name in three letters may be wrong, in any way", () => {
  const meant = {
    ...{
      verfy: "verify",
      vreify: "verify",
      Verify: "verify",
      veryfy: "verify",
      compair: "compare",
      mak: "make",
    },
    ...{ "lama-7b": "llama-7b", "llama-7": "llama-7b", llama7b: "llama-7b", "llama-31b": "llama-13b" },
  };
  for (const [name, wanted] of Object.entries(meant)) assert.equal(nearestName(name, NAMES), wanted, name);
});

test("null where nothing is near, where the name is there, and where there is nothing", () => {
  for (const name of ["x", "ma", "alpaca-7b", "verification", ""])
    assert.equal(nearestName(name, NAMES), null, name);
  assert.equal(nearestName("make", ["mak", "make", "makes"]), null);
  assert.equal(nearestName("make", []), null);
});
