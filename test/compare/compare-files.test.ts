/** Config and tokenizer: what differs, what is only a note, what a missing file means. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { compareFiles, MAX_KEYS } from "../../src/compare/compare-files.js";
import { noPause } from "../../src/interrupt.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { bytesField, NORMALIZER_SPEC, piece, trainerSpec } from "../support/sentencepiece-samples.js";

type Files = Readonly<Record<string, string | Uint8Array | object>>;

async function compare(context: TestContext, ofA: Files, ofB: Files, pause = noPause) {
  const folders = [ofA, ofB].map((files) => {
    const folder = temporaryFolder(context);
    for (const [name, content] of Object.entries(files)) {
      const isRaw = typeof content === "string" || content instanceof Uint8Array;
      writeFileSync(join(folder, name), isRaw ? content : JSON.stringify(content));
    }
    return folder;
  });
  const [a = "", b = ""] = folders;
  return compareFiles({ folder: a, config: null }, { folder: b, config: null }, pause);
}

test("signals are looked at between equal tokens, too", async (t) => {
  const vocab = (last: number) =>
    Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`t${i}`, i < 49_999 ? i : last]));
  const pausesOf = async (...last: [number, number]) => {
    let pauses = 0;
    const [a, b] = last.map((id) => ({ "tokenizer.json": { model: { vocab: vocab(id) } } }));
    await compare(t, a as Files, b as Files, async () => void pauses++);
    return pauses;
  };
  // Those of reading: none is looked at where the texts are equal.
  const slices = 2 * (1 + Math.floor(50_000 / 2 ** 14));
  assert.equal(await pausesOf(0, 0), 0);
  assert.equal(await pausesOf(0, 1), slices + Math.floor(50_000 / 2 ** 12));
});

test("keys that differ, in any depth, with both values", async (t) => {
  const [config] = await compare(
    t,
    {
      "config.json": {
        vocab_size: 1,
        rope_scaling: { factor: 2 },
        ids: [1, 2],
        "a.b": 1,
        same: { x: [null] },
      },
    },
    {
      "config.json": {
        same: { x: [null] },
        vocab_size: 2,
        rope_scaling: { factor: 4 },
        ids: [1],
        "a.b": 2,
        more: true,
      },
    },
  );
  assert.equal(config?.isDifferent, true);
  assert.equal(config?.differences, 5);
  assert.deepEqual(
    config?.keys.map(({ at, a, b }) => [at, a, b]),
    [
      ["vocab_size", "1", "2"],
      ["rope_scaling.factor", "2", "4"],
      ["ids[1]", "2", null],
      ['["a.b"]', "1", "2"],
      ["more", null, "true"],
    ],
  );
});

test("order, spaces and the spelling of a number are no differences", async (t) => {
  const files = await compare(
    t,
    { "config.json": '{"a": 1.0, "b": 1e-6}' },
    { "config.json": '{ "b": 0.000001,\n "a": 1 }' },
  );
  assert.deepEqual(files, [
    { file: "config.json", isDifferent: false, onlyIn: null, differences: 0, notes: 0, keys: [] },
  ]);
});

test("provenance and a default that is spelled out are notes", async (t) => {
  const [config] = await compare(
    t,
    { "config.json": { transformers_version: "4.28.1", _name_or_path: "/a", rope_scaling: null } },
    { "config.json": { transformers_version: "4.41.2", _name_or_path: "/b" } },
  );
  assert.deepEqual([config?.isDifferent, config?.differences, config?.notes], [false, 0, 3]);
  // In a vocabulary the same words are tokens.
  const [added] = await compare(
    t,
    { "added_tokens.json": { _name_or_path: 1 } },
    { "added_tokens.json": { _name_or_path: 2 } },
  );
  assert.equal(added?.isDifferent, true);
});

test("names that JavaScript gives a meaning are keys like any other", async (t) => {
  const [config] = await compare(
    t,
    { "config.json": '{"__proto__": 1}' },
    { "config.json": '{"constructor": 1}' },
  );
  assert.deepEqual(
    config?.keys.map(({ at }) => at),
    ["__proto__", "constructor"],
  );
});

test("a file of one side is a difference; of two forms of one vocabulary one will do", async (t) => {
  const isDifferent = async (ofA: Files, ofB: Files) =>
    Object.fromEntries(
      (await compare(t, ofA, ofB)).map((file) => [file.file, [file.isDifferent, file.onlyIn]]),
    );
  assert.deepEqual(await isDifferent({ "generation_config.json": {} }, {}), {
    "generation_config.json": [true, "a"],
  });
  assert.deepEqual(await isDifferent({}, { "tokenizer.json": {} }), { "tokenizer.json": [true, "b"] });
  assert.deepEqual(
    await isDifferent({ "tokenizer.model": "x" }, { "tokenizer.model": "x", "tokenizer.json": {} }),
    {
      "tokenizer.json": [false, "b"],
      "tokenizer.model": [false, null],
    },
  );
  assert.deepEqual(await isDifferent({}, {}), {});
});

function score(value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = 2 * 8 + 5;
  bytes.writeFloatLE(value, 1);
  return bytes;
}
const model = (...parts: Uint8Array[]) => Buffer.concat(parts);

test("tokenizer.model: pieces, scores, special ids and the normalizer count, the training doesn't", async (t) => {
  const one = model(piece("a", score(-1)), piece("b"), trainerSpec(), NORMALIZER_SPEC);
  const compared = async (other: Uint8Array) => {
    const [file] = await compare(t, { "tokenizer.model": one }, { "tokenizer.model": other });
    return [file?.isDifferent, file?.keys.map(({ at }) => at)];
  };
  assert.deepEqual(await compared(one), [false, []]);
  assert.deepEqual(await compared(model(piece("a", score(-1)), piece("c"), trainerSpec(), NORMALIZER_SPEC)), [
    true,
    ["piece 1"],
  ]);
  assert.deepEqual(await compared(model(piece("a", score(-2)), piece("b"), trainerSpec(), NORMALIZER_SPEC)), [
    true,
    ["piece 0"],
  ]);
  const longer = model(piece("a", score(-1)), piece("b"), piece("c"), trainerSpec(), NORMALIZER_SPEC);
  assert.deepEqual(await compared(longer), [true, ["piece 2", "eos id"]]);
  const normalizer = bytesField(3, bytesField(1, "nfkc"));
  assert.deepEqual(await compared(model(piece("a", score(-1)), piece("b"), trainerSpec(), normalizer)), [
    true,
    ["normalizer"],
  ]);
  const trained = trainerSpec(bytesField(1, "corpus.txt"));
  assert.deepEqual(await compared(model(piece("a", score(-1)), piece("b"), trained, NORMALIZER_SPEC)), [
    false,
    ["settings of its training"],
  ]);
});

test("long values are cut where they differ", async (t) => {
  const [file] = await compare(
    t,
    { "chat_template.jinja": `${"x".repeat(500)}A${"y".repeat(500)}` },
    { "chat_template.jinja": `${"x".repeat(500)}B${"y".repeat(500)}` },
  );
  const [key] = file?.keys ?? [];
  assert.ok((key?.a?.length ?? 0) <= 82 && key?.a?.includes("A") && key.b?.includes("B"), key?.a ?? "");
});

test("two vocabularies that differ in every token: counted all, kept some", async (t) => {
  const vocabulary = (first: number) =>
    Object.fromEntries(Array.from({ length: MAX_KEYS + 500 }, (_, i) => [`t${i}`, first + i]));
  const [file] = await compare(
    t,
    { "added_tokens.json": vocabulary(0) },
    { "added_tokens.json": vocabulary(1) },
  );
  assert.deepEqual([file?.differences, file?.keys.length], [MAX_KEYS + 500, MAX_KEYS]);
});

test("nesting without end is an error, not a full stack", async (t) => {
  const nested = (depth: number) => `${"[".repeat(depth)}1${"]".repeat(depth)}`;
  const [file] = await compare(t, { "config.json": nested(64) }, { "config.json": "1" });
  assert.equal(file?.isDifferent, true);
  for (const depth of [65, 1_000_000])
    await refusal(() => compare(t, { "config.json": "1" }, { "config.json": nested(depth) }), "bad-json");
});

test("a file that isn't what it should be is an error", async (t) => {
  await refusal(() => compare(t, { "config.json": "{" }, { "config.json": "{}" }), "bad-json");
  await refusal(
    () => compare(t, { "tokenizer.model": "nonsense" }, { "tokenizer.model": "other" }),
    "tokenizer-malformed",
  );
  const pointer = "version https://git-lfs.github.com/spec/v1\n";
  await refusal(() => compare(t, { "tokenizer.json": pointer }, { "tokenizer.json": "{}" }), "lfs-pointer");
});
