/** JSON within limits: what is beyond them is refused before anything is made of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { listOf, parseBoundedJson, recordOf } from "../../src/files/bounded-json.js";
import { JsonDraft } from "../../src/files/json-draft.js";
import { refusal } from "../support/refusal.js";

test("JSON as deep as real files is read, and deeper is not", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  assert.ok(Array.isArray(parseBoundedJson(nested(64))));
  assert.throws(() => parseBoundedJson(nested(65)), /nested deeper than 64/);
  assert.equal(
    parseBoundedJson(`"${"[".repeat(100)}\\"${"{".repeat(100)}"`),
    `${"[".repeat(100)}"${"{".repeat(100)}`,
  );
});

test("a file of nothing but values is refused", () => {
  assert.throws(() => parseBoundedJson(`[${"1,".repeat(1 << 22)}1]`), /more than 4194304 values/);
});

test("of wrong items the first is named, and no other", () => {
  const wrong = z.object({ a: listOf(z.string()) }).safeParse({ a: ["x", 1, 2, 3] });
  assert.deepEqual(
    wrong.error?.issues.map(({ path }) => path),
    [["a", 1]],
  );
  assert.deepEqual(
    recordOf(z.number())
      .safeParse({ x: 1, y: "2", z: "3" })
      .error?.issues.map(({ path }) => path),
    [["y"]],
  );
});

test("lists and records are what they say, and may be missing where they may", () => {
  assert.equal(listOf(z.string()).safeParse({}).success, false);
  assert.equal(recordOf(z.number()).safeParse([]).success, false);
  assert.equal(z.looseObject({ a: listOf(z.string()).nullish() }).safeParse({}).success, true);
  const proto = recordOf(z.number()).safeParse(JSON.parse('{"__proto__": "x"}'));
  assert.equal(proto.success, false);
});

test("a key that stands twice is refused where it is changed", async () => {
  const schema = z.looseObject({ a: z.number() });
  const draft = new JsonDraft({ path: "config.json", text: '{"a": 1, "a": 2}' }, schema);
  await refusal(() => draft.set(["a"], 3), "bad-json", { file: "config.json", got: /a stands twice/ });
});
