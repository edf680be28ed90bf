/** Editing JSON: the one value changes, everything else stays as it was written, and the work is one walk. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { appendJson, editJson, type JsonPath, TwiceError } from "../../src/files/json-edit.js";
import { anyCharacter } from "../support/any-character.js";

const EDITS: readonly (readonly [text: string, path: JsonPath, value: unknown, made: string])[] = [
  ['{"a": 10000.0, "b": 1}', ["b"], 2, '{"a": 10000.0, "b": 2}'],
  ['{"a":1}', ["b"], [1], '{"a":1, "b": [\n    1\n  ]}'],
  ['{\n  "a": 1\n}\n', ["b"], "x", '{\n  "a": 1,\n  "b": "x"\n}\n'],
  ['{\n\t"a": {"x": 1}\n}', ["a", "y"], 2, '{\n\t"a": {"x": 1, "y": 2}\n}'],
  ["{}", ["a"], 1, '{\n  "a": 1\n}'],
  ['{"a": [ 1 , 2 ]}', ["a", 1], 3, '{"a": [ 1 , 3 ]}'],
  ['{"a": 1, "b": 2, "c": 3}', ["a"], undefined, '{"b": 2, "c": 3}'],
  ['{"a": 1, "b": 2, "c": 3}', ["b"], undefined, '{"a": 1, "c": 3}'],
  ['{"a": 1 }', ["a"], undefined, "{}"],
  ['{"a": 1}', ["b"], undefined, '{"a": 1}'],
  [' {"\\u0061": "}]\\\\\\""} ', ["a"], null, ' {"\\u0061": null} '],
  ["[1]", [], { a: 1 }, '{\n  "a": 1\n}'],
];

for (const [text, path, value, made] of EDITS)
  test(`${text} at ${path.join(".")}: ${JSON.stringify(value)}`, () =>
    assert.equal(editJson(text, path, value), made));

test("items go behind the last, laid out as the first is", () => {
  assert.equal(appendJson('{"a": [\n    1\n  ]}', ["a"], [2, 3]), '{"a": [\n    1,\n    2,\n    3\n  ]}');
  assert.equal(appendJson('{"a": []}', ["a"], ["x"]), '{"a": [\n    "x"\n  ]}');
});

test("a key that stands twice is no place", () => {
  assert.throws(() => editJson('{"a": 1, "a": 2}', ["a"], 3), TwiceError);
  assert.throws(() => editJson('{"a": {}, "a": {}}', ["a", "b"], 3), TwiceError);
});

test("any value anywhere: as JSON.parse, the change and JSON.parse again", () => {
  const objects = fc.dictionary(
    fc.string({ unit: anyCharacter }),
    fc.jsonValue({ maxDepth: 3, stringUnit: anyCharacter }),
    {
      noNullPrototype: true,
      minKeys: 1,
    },
  );
  fc.assert(
    fc.property(
      objects,
      fc.nat(),
      fc.jsonValue(),
      fc.constantFrom(undefined, 1, "\t"),
      (object, at, value, space) => {
        const keys = Object.keys(object);
        const key = keys[at % keys.length] as string;
        const text = JSON.stringify(object, null, space);
        const own = (json: string) => Object.entries(JSON.parse(json) as object);
        const expected = own(text).map(([name, item]) => [name, name === key ? value : item]);
        assert.deepEqual(own(editJson(text, [key], value)), JSON.parse(JSON.stringify(expected)));
        assert.deepEqual(
          own(editJson(text, [key], undefined)),
          own(text).filter(([name]) => name !== key),
        );
      },
    ),
  );
});

test("a config of one long line takes one walk, not one for each of its objects", () => {
  // jsonc-parser took minutes for this one. Ten times the length would be a thousand times that.
  const text = `{"a":[${"{},".repeat(2_000_000)}{}]}`;
  assert.equal(
    editJson(text, ["torch_dtype"], "float16").length,
    text.length + '"torch_dtype": "float16"'.length + 2,
  );
});
