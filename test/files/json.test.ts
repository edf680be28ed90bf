/** Strict JSON: everything that JSON is, nothing else, and where it broke. Python's: what it reads beside that. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Budget } from "../../src/budget.js";
import { ApplyDeltaError } from "../../src/errors.js";
import { parseLargePythonJson, parsePythonJson, parseStrictJson } from "../../src/files/json.js";
import { isJsonObject, JsonDecimal, type JsonValue } from "../../src/files/json-reader.js";
import { noPause } from "../../src/interrupt.js";
import { anyCharacter } from "../support/any-character.js";
import { refusal } from "../support/refusal.js";

/** Where the text of these tests lies in its imagined file. */
const START = 1000;

function parse(text: string | Uint8Array): Promise<JsonValue> {
  return parseStrictJson(typeof text === "string" ? Buffer.from(text, "utf8") : text, {
    file: "some.json",
    offsetBytes: START,
    malformed: "bad-json",
    budget: new Budget(),
    pause: noPause,
    hint: "Give another file.",
  });
}

/** The value as JSON.parse would make it: with prototypes, decimals as numbers. */
function plain(value: JsonValue): unknown {
  if (value instanceof JsonDecimal) return Number(value.text);
  if (Array.isArray(value)) return value.map(plain);
  if (!isJsonObject(value)) return value;
  const copy = {};
  for (const [key, item] of Object.entries(value)) {
    Object.defineProperty(copy, key, {
      value: plain(item),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy;
}

test("agrees with JSON.parse on everything JSON.stringify writes, spaced or not", async () => {
  const anyJson = fc.jsonValue({ maxDepth: 6, stringUnit: anyCharacter });
  await fc.assert(
    fc.asyncProperty(anyJson, fc.constantFrom(undefined, 1, "\t", "\n "), async (value, space) => {
      const text = JSON.stringify(value, null, space);
      assert.deepEqual(plain(await parse(text)), JSON.parse(text));
    }),
  );
});

test("what JSON.parse refuses is refused here, whatever one edit does to a text", async () => {
  const text = '{"a":{"dtype":"F16","shape":[1,20],"data_offsets":[0,4e1]},"\\u00e9":[true,false,null,-1.5]}';
  const edit = fc.tuple(
    fc.nat(text.length - 1),
    fc.nat(2),
    fc.constantFrom(...'{}[]",:\\ue01-+. \u0000x\ufeff', "", "\n", "\u00a0"),
  );
  await fc.assert(
    fc.asyncProperty(edit, async ([at, removed, inserted]) => {
      const edited = text.slice(0, at) + inserted + text.slice(at + removed);
      let expected: unknown;
      try {
        expected = JSON.parse(edited);
      } catch {
        await assert.rejects(parse(edited), ApplyDeltaError, edited);
        return;
      }
      try {
        assert.deepEqual(plain(await parse(edited)), expected);
      } catch (error) {
        // Stricter than JSON.parse only in keys that stand twice and halves of surrogate pairs.
        if (!(error instanceof ApplyDeltaError)) throw error;
        assert.match(error.message, /stands twice|surrogate/, edited);
      }
    }),
    { numRuns: 2000 },
  );
});

test("a number that isn't written as an integer stays as it was written", async () => {
  for (const text of ["1.0", "1e3", "1E+3", "-0", "0.0", "-1.5e-7", "1e400", "123456789012345678901.5"]) {
    assert.deepEqual(await parse(text), new JsonDecimal(text));
  }
  assert.equal(await parse("0"), 0);
  assert.equal(await parse("-12"), -12);
  assert.equal(JSON.stringify(await parse("[1.0,2]")), '["1.0",2]');
});

test("the largest integers a double counts with; beyond, what was written", async () => {
  assert.equal(await parse("9007199254740991"), Number.MAX_SAFE_INTEGER);
  assert.equal(await parse("-9007199254740991"), Number.MIN_SAFE_INTEGER);
  for (const text of ["9007199254740992", "9007199254740993", "18446744073709551616", "-9007199254740992"]) {
    assert.deepEqual(await parse(text), new JsonDecimal(text));
  }
});

test("names of Object.prototype are names like any other", async () => {
  const value = await parse('{"__proto__":{"a":1},"constructor":2,"toString":3,"10":4,"":5}');
  assert.ok(isJsonObject(value));
  assert.deepEqual(Object.keys(value).sort(), ["", "10", "__proto__", "constructor", "toString"]);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.equal(({} as Record<string, unknown>).a, undefined);
});

const DUPLICATES: [text: string, offset: number][] = [
  ['{"a":1,"a":1}', 7],
  ['{"a":1,"\\u0061":2}', 7],
  ['{"é":1, "é":2}', 9],
  ['{"":1,"":2}', 6],
  ['{"__proto__":1,"__proto__":2}', 15],
  ['{"x":[{"b":{},"c":1,"b":{}}]}', 20],
];
for (const [text, offset] of DUPLICATES) {
  test(`a key that stands twice: ${text}`, async () => {
    await refusal(() => parse(text), "duplicate-tensor", { file: "some.json", offsetBytes: START + offset });
  });
}

const MALFORMED: [text: string, offset: number, message: RegExp][] = [
  ["", 0, /value expected/],
  ["  ", 2, /value expected/],
  ['{"a":', 5, /value expected/],
  ["[1,]", 3, /value expected/],
  ['{"a":1,}', 7, /property name expected/],
  ["{'a':1}", 1, /property name expected/],
  ["{1:1}", 1, /property name expected/],
  ['{"a" 1}', 5, /colon expected/],
  ['{"a":1 "b":2}', 7, /comma or close brace expected/],
  ['{"a":1', 6, /close brace expected/],
  ["[1 2]", 3, /comma or close bracket expected/],
  ["[1", 2, /close bracket expected/],
  ["01", 1, /end of file expected/],
  ["1.", 1, /end of file expected/],
  ["1 1", 2, /end of file expected/],
  ["{}\u0000", 2, /end of file expected/],
  [".5", 0, /value expected/],
  ["+1", 0, /value expected/],
  ["NaN", 0, /value expected/],
  ["-Infinity", 0, /value expected/],
  ["True", 0, /value expected/],
  ["// no\n1", 0, /value expected/],
  ["1 /* no */", 2, /end of file expected/],
  ["\ufeff{}", 0, /value expected/],
  ["\u00a01", 0, /value expected/],
  ['"abc', 0, /a string has no end/],
  ['"abc\\"', 0, /a string has no end/],
  ['"\\x41"', 0, /unknown escape/],
  ['"\\u12g4"', 0, /unknown escape/],
  ['"a\nb"', 0, /control character/],
  ['"a\tb"', 0, /control character/],
  ['"\\ud800"', 0, /surrogate/],
  ['"\\udc00\\ud800"', 0, /surrogate/],
  ['["é","\\ud83d"]', 6, /surrogate/],
  [`${"[".repeat(65)}1`, 64, /nested/],
  [`${'{"a":'.repeat(65)}1`, 320, /nested/],
  ["[".repeat(1_000_000), 64, /nested/],
  [`[${"[],".repeat(1 << 19)}0]`, 1 + 3 * ((1 << 19) - 1), /more than 524288 lists and objects/],
];
for (const [text, offset, message] of MALFORMED) {
  test(`malformed: ${JSON.stringify(text.slice(0, 20))}`, async () => {
    await refusal(() => parse(text), "bad-json", {
      file: "some.json",
      offsetBytes: START + offset,
      message,
      hint: "Give another file.",
    });
  });
}

const NOT_UTF8: [title: string, bytes: number[]][] = [
  ["a byte that no UTF-8 has", [0x22, 0xff, 0x22]],
  ["an overlong form", [0x22, 0xc0, 0xaf, 0x22]],
  ["a surrogate in three bytes", [0x22, 0xed, 0xa0, 0x80, 0x22]],
  ["a sequence that is cut", [0x22, 0xe2, 0x82]],
];
for (const [title, bytes] of NOT_UTF8) {
  test(`not UTF-8: ${title}`, async () => {
    await refusal(() => parse(Uint8Array.from(bytes)), "bad-json", {
      file: "some.json",
      offsetBytes: START,
      message: /UTF-8/,
    });
  });
}

test("nesting as deep as is allowed, and a string as long as a header", async () => {
  await assert.doesNotReject(parse(`${"[".repeat(64)}1${"]".repeat(64)}`));
  const long = "x".repeat(10_000_000);
  assert.equal(await parse(`"${long}"`), long);
});

test("space and escapes take no more memory than the value", async () => {
  assert.deepEqual(await parse(`[${" ".repeat(20_000_000)}]`), []);
  assert.equal(((await parse(`"${"\\n".repeat(10_000_000)}"`)) as string).length, 10_000_000);
});

test("Python's words for numbers are read where Python reads them", () => {
  assert.deepEqual(parsePythonJson('{"a": [NaN, Infinity, -Infinity], "NaN": "-Infinity"}'), {
    a: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    NaN: "-Infinity",
  });
  for (const text of ["nan", "-NaN", "+Infinity", "Inf", "infinity", "NaNs", "{NaN: 1}"]) {
    assert.throws(() => parsePythonJson(text), SyntaxError, text);
  }
});

test("of a key that stands twice Python takes the last, and it takes any number", () => {
  assert.deepEqual(parsePythonJson('{"a": 1, "a": 1e999, "b": 1.0, "c": "\\ud800"}'), {
    a: Number.POSITIVE_INFINITY,
    b: 1,
    c: "\ud800",
  });
});

test("JSON of a folder as deep as real files is read, and deeper is not", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  assert.ok(Array.isArray(parsePythonJson(nested(64))));
  assert.throws(() => parsePythonJson(nested(65)), /nested deeper than 64/);
  const brackets = `${"[".repeat(100)}"${"{".repeat(100)}`;
  assert.equal(parsePythonJson(JSON.stringify(brackets)), brackets);
});

test("a file of nothing but values is refused", async () => {
  assert.throws(() => parsePythonJson(`[${"1,".repeat(1 << 17)}1]`), /more than 131072 values/);
  assert.throws(() => parsePythonJson(`[${"{},".repeat(1 << 16)}1]`), /more than 65536 lists and objects/);
  const large = (text: string) => parseLargePythonJson(text, noPause);
  const keys = (count: number) => `{${Array.from({ length: count }, (_, i) => `"${i}":0`).join()}}`;
  await large(keys(327_680));
  await assert.rejects(large(keys(327_681)), /more than 327680 keys in one object/);
  await assert.rejects(large(`[${"1,".repeat(1 << 21)}1]`), /more than 2097152 values/);
  await assert.rejects(large(`[${"{},".repeat(5 << 17)}1]`), /more than 655360 lists and objects/);
});

test("a long text is read in slices, with a pause after each, and costs what it holds", async () => {
  let pauses = 0;
  const pause = async () => {
    pauses++;
  };
  assert.equal(
    ((await parseLargePythonJson(`[${"1,".repeat(99_999)}1]`, pause)) as number[]).length,
    100_000,
  );
  assert.equal(pauses, Math.floor(100_001 / 16_384));
  const budget = new Budget();
  const context = { file: "a", offsetBytes: 0, malformed: "bad-json", budget, pause } as const;
  for (let i = 0; i < 20; i++) await parseStrictJson(Buffer.from(`[${"1,".repeat(99_999)}1]`), context);
  await refusal(() => parseStrictJson(Buffer.from(`[${"1,".repeat(99_999)}1]`), context), "too-large");
});
