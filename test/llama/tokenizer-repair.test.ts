/** What is repaired in tokenizers, and that what is right comes back untouched. Texts in, texts out. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { TokenizerText } from "../../src/llama/file-names.js";
import { chatTemplateOf } from "../../src/llama/prompt-templates.js";
import { fixturePath, projectPath } from "../support/fixture-path.js";
import { refusal } from "../support/refusal.js";
import { CONFIG, json, MAP, modelOf, RIGHT, repair, token } from "../support/repaired-tokenizer.js";
import { NORMALIZER_SPEC, piece, trainerSpec, varintField } from "../support/sentencepiece-samples.js";

test("a tokenizer that is right comes back as it is", async () => {
  const tiny = (name: string) => readFileSync(projectPath(`examples/tiny/delta/${name}`));
  const texts = {
    "tokenizer_config.json": tiny("tokenizer_config.json").toString(),
    "special_tokens_map.json": tiny("special_tokens_map.json").toString(),
  };
  const {
    texts: repaired,
    notes,
    warnings,
  } = repair(texts, { rows: 320 }, await modelOf(tiny("tokenizer.model")));
  assert.deepEqual([repaired, notes, warnings], [texts, [], []]);
  assert.deepEqual(repair(RIGHT).texts, RIGHT);
  assert.deepEqual(repair(RIGHT).ids, { bos: 1, eos: 2, unk: 0, pad: null });
});

test("a missing map becomes the FAQ's, 411 bytes", () => {
  const { texts, notes } = repair({ "tokenizer_config.json": CONFIG });
  const text = texts["special_tokens_map.json"] ?? "";
  assert.equal(Buffer.byteLength(text), 411);
  assert.equal(text, MAP);
  assert.deepEqual(notes, [
    "special_tokens_map.json was missing: written as FastChat's FAQ asks, so that generation stops at </s>.",
  ]);
});

const WRONG = json({ bos_token: "</s>", eos_token: "</s>", pad_token: "[PAD]", unk_token: "</s>" });

test("the wrong map of 96 bytes is replaced, however it is laid out", () => {
  assert.equal(Buffer.byteLength(WRONG), 96);
  const compact = JSON.stringify(JSON.parse(WRONG));
  const asTokens = json({
    bos_token: token("</s>"),
    eos_token: token("</s>"),
    pad_token: token("[PAD]"),
    unk_token: token("</s>"),
  });
  for (const map of [WRONG, compact, asTokens]) {
    const { texts, notes } = repair({ ...RIGHT, "special_tokens_map.json": map });
    assert.equal(texts["special_tokens_map.json"], MAP);
    assert.equal(notes.length, 1);
    assert.match(notes[0] ?? "", /was the wrong one of the first days/);
  }
  // A map that only resembles it may be meant.
  const other = json({ bos_token: "</s>", eos_token: "</s>", pad_token: "<pad>", unk_token: "<unk>" });
  assert.equal(
    repair({ ...RIGHT, "special_tokens_map.json": other }).texts["special_tokens_map.json"],
    other,
  );
});

test("a wrong map with more to it is mended, not replaced", () => {
  const map =
    '{"bos_token": "</s>", "eos_token": "</s>", "pad_token": "[PAD]", "unk_token": "</s>", "x": 1.0}';
  const { texts, notes } = repair({ ...RIGHT, "special_tokens_map.json": map });
  assert.equal(
    texts["special_tokens_map.json"],
    '{"bos_token": "<s>", "eos_token": "</s>", "pad_token": "[PAD]", "unk_token": "<unk>", "x": 1.0}',
  );
  assert.deepEqual(notes, [
    "special_tokens_map.json: blank or wrong in old conversions, now bos_token <s>, unk_token <unk>; else generation never stops.",
  ]);
});

test("a model whose pieces make </s> the bos keeps its map", async () => {
  const pieces = [piece("<unk>"), piece("</s>"), piece("</s>x"), trainerSpec(varintField(42, 1))];
  const model = await modelOf(Buffer.concat([...pieces, NORMALIZER_SPEC]));
  const texts = { ...RIGHT, "special_tokens_map.json": WRONG };
  assert.equal(repair(texts, { rows: 3 }, model).texts["special_tokens_map.json"], WRONG);
});

test("an empty map is filled; other keys stay", () => {
  assert.equal(repair({ ...RIGHT, "special_tokens_map.json": "{}" }).texts["special_tokens_map.json"], MAP);
  const { texts } = repair({
    ...RIGHT,
    "special_tokens_map.json": '{"additional_special_tokens": ["<a>"], "x": 1.0}',
  });
  const text = texts["special_tokens_map.json"] ?? "";
  assert.match(text, /"x": 1\.0/);
  assert.deepEqual(JSON.parse(text), {
    additional_special_tokens: ["<a>"],
    x: 1,
    ...JSON.parse(MAP),
  });
});

test("blank tokens are filled in, as text or as AddedToken; the rest stays as it is written", () => {
  const config =
    '{"bos_token": "",\n "eos_token": {"content": "", "x": 1.0}, "unk_token": "<unk>", "y": 1e3}';
  const map = '{"bos_token":{"content":""},"eos_token":"","unk_token":""}';
  const { texts, notes } = repair({ "tokenizer_config.json": config, "special_tokens_map.json": map });
  assert.equal(
    texts["tokenizer_config.json"],
    '{"bos_token": "<s>",\n "eos_token": {"content": "</s>", "x": 1.0}, "unk_token": "<unk>", "y": 1e3}',
  );
  assert.equal(
    texts["special_tokens_map.json"],
    '{"bos_token":{"content":"<s>"},"eos_token":"</s>","unk_token":"<unk>"}',
  );
  assert.deepEqual(notes, [
    "tokenizer_config.json: blank or wrong in old conversions, now bos_token <s>, eos_token </s>; else generation never stops.",
    "special_tokens_map.json: blank or wrong in old conversions, now bos_token <s>, eos_token </s>, unk_token <unk>; else generation never stops.",
  ]);
});

test("a config that took over the wrong map is mended; a token of null or a deliberate one stays", () => {
  const { texts } = repair({
    ...RIGHT,
    "tokenizer_config.json": '{"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>"}',
  });
  assert.equal(
    texts["tokenizer_config.json"],
    '{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}',
  );
  const deliberate = '{"bos_token": null, "eos_token": "</s>", "unk_token": "</s>"}';
  assert.equal(
    repair({ ...RIGHT, "tokenizer_config.json": deliberate }).texts["tokenizer_config.json"],
    deliberate,
  );
});

test("names come from the pieces, not from LLaMA, where they differ", async () => {
  const renamed = await modelOf(readFileSync(fixturePath("tokenizer/renamed.model")));
  const { texts, ids } = repair(
    { "tokenizer_config.json": '{"bos_token": "", "eos_token": "", "unk_token": ""}' },
    { rows: 64 },
    renamed,
  );
  assert.equal(
    texts["tokenizer_config.json"],
    '{"bos_token": "[CLS]", "eos_token": "[SEP]", "unk_token": "[UNK]"}',
  );
  assert.deepEqual(JSON.parse(texts["special_tokens_map.json"] ?? "").eos_token, token("[SEP]"));
  assert.deepEqual(ids, { bos: 0, eos: 1, unk: 3, pad: 2 });
});

test("without pieces, a LLaMA's other files are mended all the same; another model gets none", () => {
  const { texts, ids } = repair({ "special_tokens_map.json": WRONG }, {}, null);
  assert.equal(texts["special_tokens_map.json"], MAP);
  assert.equal(JSON.parse(texts["tokenizer_config.json"] ?? "").tokenizer_class, "LlamaTokenizer");
  assert.equal(ids, null);
  assert.deepEqual(repair({}, { isLlama: false }, null).texts, {});
  assert.deepEqual(repair({}, { isLlama: null }, null).texts, {});
});

test("the chat template is written, and replaces another", () => {
  for (const config of [CONFIG, '{"chat_template": "old", "x": 1.0}']) {
    const { texts, notes } = repair({ ...RIGHT, "tokenizer_config.json": config }, { chatTemplate: "v1.1" });
    const { chat_template: written, ...rest } = JSON.parse(texts["tokenizer_config.json"] ?? "");
    assert.equal(written, chatTemplateOf("v1.1"));
    const { chat_template: _, ...before } = JSON.parse(config);
    assert.deepEqual(rest, before);
    assert.deepEqual(notes, ["tokenizer_config.json: chat_template of Vicuna v1.1 written."]);
  }
  assert.match(repair(RIGHT, { chatTemplate: "v0" }).notes.at(-1) ?? "", /stop generation at "###"/);
  const nowhere = repair({}, { chatTemplate: "v0", isLlama: false }, null);
  assert.match(nowhere.warnings[0] ?? "", /can't be written/);
});

const MALFORMED: Partial<Record<TokenizerText, Record<string, string>>> = {
  "tokenizer_config.json": {
    "no JSON": "{",
    "an empty file": "",
    "a list": "[]",
    "a token as a number": '{"eos_token": 2}',
    "a token without content": '{"eos_token": {"lstrip": true}}',
    "a class as a number": '{"tokenizer_class": 1}',
    "an id that is none": '{"added_tokens_decoder": {"x": {"content": "a"}}}',
    "an id far too large": '{"added_tokens_decoder": {"99999999999": {"content": "a"}}}',
  },
  "special_tokens_map.json": { "a web page": "<!doctype html>", "a token as a list": '{"pad_token": []}' },
  "added_tokens.json": {
    "ids as text": '{"[PAD]": "32000"}',
    "a negative id": '{"[PAD]": -1}',
    "an id far too large": '{"[PAD]": 1e15}',
  },
  "tokenizer.json": { "no model": "{}", "ids as text": '{"model": {"vocab": {"a": "0"}}}' },
};
for (const [name, cases] of Object.entries(MALFORMED)) {
  for (const [title, text] of Object.entries(cases)) {
    test(`${name} that is refused: ${title}`, async () => {
      await refusal(() => repair({ ...RIGHT, [name]: text }), "bad-json", {
        file: `delta/${name}`,
        got: /./,
      });
    });
  }
}
