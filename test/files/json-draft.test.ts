/** Changes to JSON files, and the checks of their lists and records. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as z from "zod";
import { JsonDraft, listOf, recordOf } from "../../src/files/json-draft.js";
import { refusal } from "../support/refusal.js";

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

const ANY = z.record(z.string(), z.unknown());

test("Python's words for numbers stay as they are beside what is changed", () => {
  const text = '{\n  "limit": [\n    0.0,\n    Infinity\n  ],\n  "NaN": "Infinity \\"NaN",\n  "x": NaN\n}\n';
  const draft = new JsonDraft({ path: "config.json", text }, ANY);
  assert.deepEqual(draft.value.limit, [0, Number.POSITIVE_INFINITY]);
  draft.set(["added"], [1]);
  draft.set(["NaN"], undefined);
  draft.set(["x"], 2);
  draft.set(["limit", 0], 1);
  assert.equal(
    draft.text,
    '{\n  "limit": [\n    1,\n    Infinity\n  ],\n  "x": 2,\n  "added": [\n    1\n  ]\n}\n',
  );
});
