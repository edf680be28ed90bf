/** Each row has a token and each token a row. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIds } from "../../src/llama/tokenizer-repair.js";
import { json, RIGHT, repair } from "../support/repaired-tokenizer.js";

test("v0: the one row above the pieces is [PAD], as FastChat 0.1.10 wrote it", () => {
  const { texts, notes, warnings, unnamed } = repair(RIGHT, { rows: 11 });
  assert.deepEqual(texts, { ...RIGHT, "added_tokens.json": '{\n  "[PAD]": 10\n}\n' });
  assert.deepEqual(notes, [
    "row 10 has no piece in tokenizer.model: [PAD] names it, as in Vicuna v0.",
    "added_tokens.json: [PAD] 10 added; llama.cpp looks for it there.",
  ]);
  assert.deepEqual([warnings, unnamed], [[], []]);
});

const DECODER = '{"added_tokens_decoder": {"0": {"content": "<unk>", "special": true}}, "x": 1.0}';

test("v0: a decoder in tokenizer_config.json gets the token, too, since transformers then reads no other file", () => {
  const { texts } = repair({ ...RIGHT, "tokenizer_config.json": DECODER }, { rows: 11 });
  const text = texts["tokenizer_config.json"] ?? "";
  assert.match(text, /"x": 1\.0/);
  assert.deepEqual(JSON.parse(text).added_tokens_decoder, {
    0: { content: "<unk>", special: true },
    10: {
      content: "[PAD]",
      lstrip: false,
      normalized: false,
      rstrip: false,
      single_word: false,
      special: true,
    },
  });
});

test("a name that is there already stays", () => {
  const added = '{"<pad>": 10}';
  const kept = repair({ ...RIGHT, "added_tokens.json": added }, { rows: 11 });
  assert.deepEqual(kept.texts, { ...RIGHT, "added_tokens.json": added });
  assert.deepEqual([kept.notes, kept.warnings], [[], []]);
  const elsewhere = repair(
    { ...RIGHT, "tokenizer_config.json": '{"added_tokens_decoder": {"10": {"content": "<pad>"}}}' },
    { rows: 11 },
  );
  assert.equal(elsewhere.texts["added_tokens.json"], '{\n  "<pad>": 10\n}\n');
  const several =
    '{"added_tokens_decoder": {"10": {"content": "b"}, "11": {"content": "a"}, "12": {"content": "c"}}}';
  const sorted = repair({ ...RIGHT, "tokenizer_config.json": several }, { rows: 12 });
  assert.equal(sorted.texts["added_tokens.json"], '{\n  "a": 11,\n  "b": 10\n}\n');
  assert.deepEqual(elsewhere.notes, ["added_tokens.json: <pad> 10 added; llama.cpp looks for it there."]);
});

test("several rows without a name are named in a warning, and none is invented", () => {
  const { texts, warnings, unnamed } = repair(
    { ...RIGHT, "added_tokens.json": '{"<im_start>": 12}' },
    { rows: 15 },
  );
  assert.deepEqual(JSON.parse(texts["added_tokens.json"] ?? ""), { "<im_start>": 12 });
  assert.deepEqual(unnamed, [10, 11, 13, 14]);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /has 15 rows, but the tokenizer has no token for 10 to 11, 13 to 14: copy/);
});

test("a row is not called [PAD] where that is another token", () => {
  const { unnamed } = repair({ ...RIGHT, "added_tokens.json": '{"[PAD]": 3}' }, { rows: 11 });
  assert.deepEqual(unnamed, [10]);
});

test("rows without a piece belong to the special tokens that the files name, in transformers' order", () => {
  const pad = (text: string) => JSON.stringify({ ...JSON.parse(text), pad_token: "<pad>" });
  const [map, config] = [
    pad(RIGHT["special_tokens_map.json"] ?? ""),
    pad(RIGHT["tokenizer_config.json"] ?? ""),
  ];
  for (const named of [{ "special_tokens_map.json": map }, { "tokenizer_config.json": config }]) {
    const { texts, notes, warnings, ids } = repair({ ...RIGHT, ...named }, { rows: 11 });
    assert.deepEqual(texts, { ...RIGHT, ...named, "added_tokens.json": '{\n  "<pad>": 10\n}\n' });
    assert.deepEqual(notes, [
      "row 10 has no piece in tokenizer.model: it is that of the special token <pad>.",
    ]);
    assert.deepEqual(warnings, []);
    assert.equal(ids?.pad, 10);
  }
  const more = JSON.stringify({
    ...JSON.parse(map),
    additional_special_tokens: ["<a>", "<b>"],
    cls_token: "<c>",
  });
  const { texts } = repair({ ...RIGHT, "special_tokens_map.json": more }, { rows: 13 });
  assert.deepEqual(JSON.parse(texts["added_tokens.json"] ?? ""), { "<pad>": 10, "<c>": 11, "<a>": 12 });
  const trimmed = repair({ ...RIGHT, "special_tokens_map.json": map }, { rows: 10, trimmedRows: 1 });
  assert.equal(JSON.parse(trimmed.texts["special_tokens_map.json"] ?? "").pad_token, undefined);
});

test("LLaVA's three tokens are kept where its files name them", () => {
  const added = json({ "<im_end>": 12, "<im_start>": 11, "[PAD]": 10 });
  const { texts, notes, warnings } = repair({ ...RIGHT, "added_tokens.json": added }, { rows: 13 });
  assert.deepEqual([texts["added_tokens.json"], notes, warnings], [added, [], []]);
});

test("added tokens without a row are removed; pieces without one are a warning", () => {
  const { texts, notes } = repair({ ...RIGHT, "added_tokens.json": '{"[PAD]": 10}' });
  assert.deepEqual(texts, RIGHT);
  assert.deepEqual(notes, ["[PAD] 10 removed from the tokenizer, as the model has no more than 10 rows."]);
  assert.match(repair(RIGHT, { rows: 8 }).warnings[0] ?? "", /rows: 8 to 9\./);
});

test("a trimmed row's token is taken out of every file", () => {
  const pad = { id: 10, content: "[PAD]" };
  const { texts, notes, warnings, ids } = repair(
    {
      "tokenizer_config.json":
        '{"added_tokens_decoder": {"2": {"content": "</s>"}, "10": {"content": "[PAD]"}}, "pad_token": "[PAD]"}',
      "special_tokens_map.json":
        '{"additional_special_tokens": ["<x>", "[PAD]"], "eos_token": "</s>", "pad_token": {"content": "[PAD]"}}',
      "added_tokens.json": '{"[PAD]": 10}',
      "tokenizer.json": JSON.stringify({
        added_tokens: [{ id: 2, content: "</s>" }, pad],
        model: { vocab: {} },
      }),
    },
    { trimmedRows: 1 },
  );
  assert.deepEqual(JSON.parse(texts["tokenizer_config.json"] ?? ""), {
    added_tokens_decoder: { 2: { content: "</s>" } },
  });
  assert.deepEqual(JSON.parse(texts["special_tokens_map.json"] ?? ""), {
    additional_special_tokens: ["<x>"],
    eos_token: "</s>",
  });
  assert.deepEqual(JSON.parse(texts["tokenizer.json"] ?? "").added_tokens, [{ id: 2, content: "</s>" }]);
  assert.equal(texts["added_tokens.json"], undefined);
  assert.deepEqual(notes, ["[PAD] 10 removed from the tokenizer, as its row is trimmed."]);
  assert.deepEqual(warnings, []);
  assert.equal(ids?.pad, null);
});

test("trimming leaves other added tokens, and a tokenizer without any, alone", () => {
  const { texts } = repair(
    { ...RIGHT, "added_tokens.json": '{"a": 10, "[PAD]": 11}' },
    { rows: 11, trimmedRows: 1 },
  );
  assert.deepEqual(JSON.parse(texts["added_tokens.json"] ?? ""), { a: 10 });
  const without = repair(RIGHT, { trimmedRows: 1 });
  assert.deepEqual([without.texts, without.notes], [RIGHT, []]);
});

/** One by one they would take minutes: all are changed at once. */
const COUNT = 30_000;
const decoder = Object.fromEntries(Array.from({ length: COUNT }, (_, i) => [i + 10, { content: `<t${i}>` }]));
const MANY = JSON.stringify({ eos_token: "</s>", added_tokens_decoder: decoder });

function repairMany(rows: number, trimmedRows: number) {
  return repair({ "tokenizer_config.json": MANY }, { rows, trimmedRows, maxPositions: null }).texts;
}

test("all that lack in added_tokens.json are added", () => {
  const added = JSON.parse(repairMany(10 + COUNT, 0)["added_tokens.json"] ?? "") as Record<string, number>;
  assert.equal(Object.keys(added).length, COUNT);
  assert.equal(added["<t7>"], 17);
});

test("all that have no row are removed", () => {
  const { added_tokens_decoder: left } = JSON.parse(
    repairMany(12, COUNT - 2)["tokenizer_config.json"] ?? "",
  ) as {
    added_tokens_decoder: object;
  };
  assert.deepEqual(Object.keys(left), ["10", "11"]);
});

test("a list of ids has an end", () => {
  const odd = Array.from({ length: 1000 }, (_, i) => 2 * i + 1);
  assert.match(formatIds(odd), /^1, 3, .*, 39, …$/);
});
