/** What is repaired in tokenizer_config.json: the class, what older versions implied, a file that is missing. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fixturePath } from "../support/fixture-path.js";
import { CONFIG, json, MAP, modelOf, RIGHT, repair, token } from "../support/repaired-tokenizer.js";

test("LLaMATokenizer is LlamaTokenizer", () => {
  for (const [old, now] of [
    ["LLaMATokenizer", "LlamaTokenizer"],
    ["LLaMATokenizerFast", "LlamaTokenizerFast"],
  ] as const) {
    const config = (name: string) => CONFIG.replace("LlamaTokenizer", name);
    const { texts, notes } = repair({ ...RIGHT, "tokenizer_config.json": config(old) });
    assert.equal(texts["tokenizer_config.json"], config(now));
    assert.deepEqual(notes, [`tokenizer_config.json: ${old} is ${now} since transformers 4.28.`]);
  }
});

interface Recorded {
  readonly plain: readonly number[];
  readonly stated: readonly number[];
  readonly idOfPadWithoutOne: number;
}
/** The ids of real loaders: test/fixtures/tokenizer/record_ids.py. */
const LOADERS: Record<string, Recorded> = JSON.parse(
  readFileSync(fixturePath("tokenizer/prompt-ids.json"), "utf8"),
);

test("what LlamaTokenizer implied before transformers 5 is stated, so that every version gives the same ids", () => {
  const { add_bos_token, add_eos_token, legacy, ...plain } = JSON.parse(CONFIG);
  const { texts, notes } = repair({ ...RIGHT, "tokenizer_config.json": JSON.stringify(plain) });
  assert.deepEqual(JSON.parse(texts["tokenizer_config.json"] ?? ""), JSON.parse(CONFIG));
  assert.deepEqual(notes, [
    "tokenizer_config.json: add_bos_token true, add_eos_token false, legacy true added, as transformers 4 implies; version 5 takes them for false.",
  ]);
  const versions = Object.keys(LOADERS);
  assert.ok(versions.some((version) => version.startsWith("5.")));
  const right = LOADERS["4.31.0"]?.plain;
  for (const [version, { plain: before, stated }] of Object.entries(LOADERS)) {
    assert.deepEqual(stated, right, version);
    assert.equal(before.length === stated.length, version.startsWith("4."), version);
  }
});

test("what a tokenizer states itself, and one that transformers 5 made, is left alone", () => {
  const stated = json({ ...JSON.parse(CONFIG), legacy: false, add_bos_token: false });
  assert.equal(repair({ ...RIGHT, "tokenizer_config.json": stated }).texts["tokenizer_config.json"], stated);
  const config = json({ eos_token: "</s>", tokenizer_class: "LlamaTokenizer" });
  const vocab = { "<unk>": 0, "<s>": 1, "</s>": 2 };
  const made = (normalizer: unknown) => JSON.stringify({ normalizer, model: { vocab } });
  const configBeside = (normalizer: unknown) =>
    repair({ "tokenizer.json": made(normalizer), "tokenizer_config.json": config }, { rows: 3 }, null).texts;
  assert.equal(configBeside(null)["tokenizer_config.json"], config);
  assert.equal(configBeside(null)["special_tokens_map.json"], undefined);
  const prepend = { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }] };
  assert.equal(JSON.parse(configBeside(prepend)["tokenizer_config.json"] ?? "").legacy, true);
});

const TIKTOKEN = await modelOf(Buffer.from("IQ== 0\nIg== 1\n"));

test("a tiktoken list beside a tokenizer.json takes no part; alone it is a warning", () => {
  const vocab = { a: 0, b: 1 };
  const texts = {
    "tokenizer.json": JSON.stringify({ model: { vocab } }),
    "tokenizer_config.json": '{"eos_token": "b"}',
  };
  const beside = repair(texts, { rows: 2, isLlama: false }, TIKTOKEN);
  assert.deepEqual([beside.texts, beside.warnings, beside.vocabulary?.size], [texts, [], 2]);
  assert.match(repair({}, { rows: 2, isLlama: false }, TIKTOKEN).warnings[0] ?? "", /tiktoken's/);
});

test("a missing tokenizer_config.json is written as Vicuna v1.1 has it", () => {
  const { texts, notes } = repair({ "special_tokens_map.json": MAP }, { maxPositions: 4096 });
  const marked = (content: string) => ({ __type: "AddedToken", ...token(content) });
  assert.equal(
    texts["tokenizer_config.json"],
    json({
      add_bos_token: true,
      add_eos_token: false,
      bos_token: marked("<s>"),
      clean_up_tokenization_spaces: false,
      eos_token: marked("</s>"),
      legacy: true,
      model_max_length: 4096,
      pad_token: null,
      padding_side: "right",
      sp_model_kwargs: {},
      tokenizer_class: "LlamaTokenizer",
      unk_token: marked("<unk>"),
    }),
  );
  assert.deepEqual(notes, ["tokenizer_config.json was missing: written as in Vicuna v1.1."]);
  const config = JSON.parse(repair({}, { maxPositions: null }).texts["tokenizer_config.json"] ?? "");
  assert.equal(config.model_max_length, 2048);
});

test("for a model that is no LLaMA no class is invented", () => {
  const { texts, warnings } = repair({ "special_tokens_map.json": MAP }, { isLlama: false });
  assert.equal(texts["tokenizer_config.json"], undefined);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /its tokenizer's class is unknown/);
});

const FAST = { added_tokens: [{ id: 2, content: "</s>", special: true }], model: { vocab: { a: 0, b: 1 } } };

test("a tokenizer.json alone: its tokens count, and a v0 row is named in it", () => {
  const { texts, vocabulary, unnamed } = repair(
    { "tokenizer.json": JSON.stringify(FAST), "tokenizer_config.json": '{"eos_token": "</s>"}' },
    { rows: 3, isLlama: false },
    null,
  );
  assert.deepEqual([vocabulary?.size, unnamed], [2, []]);
  assert.equal(texts["special_tokens_map.json"], undefined);
  assert.equal(texts["added_tokens.json"], undefined);

  const llama = { model: { vocab: { "<unk>": 0, "<s>": 1, "</s>": 2 } } };
  const v0 = repair({ ...RIGHT, "tokenizer.json": JSON.stringify(llama) }, { rows: 4 }, null);
  assert.equal(v0.texts["added_tokens.json"], undefined);
  assert.equal(JSON.parse(v0.texts["tokenizer.json"] ?? "").added_tokens[0].id, 3);
  assert.deepEqual(v0.ids, { bos: 1, eos: 2, unk: 0, pad: null });
});

test("a tokenizer.json alone without a config gets one that reads any", () => {
  const llama = JSON.stringify({
    added_tokens: [],
    model: {
      vocab: [
        ["<unk>", 0.0],
        ["<s>", 0.0],
        ["</s>", -1.5],
      ],
    },
  });
  const { texts } = repair({ "tokenizer.json": llama }, { rows: 3 }, null);
  assert.deepEqual(JSON.parse(texts["tokenizer_config.json"] ?? ""), {
    bos_token: "<s>",
    clean_up_tokenization_spaces: false,
    eos_token: "</s>",
    model_max_length: 2048,
    tokenizer_class: "PreTrainedTokenizerFast",
    unk_token: "<unk>",
  });
  assert.equal(texts["special_tokens_map.json"], undefined);
});

test("blank tokens nobody knows are a warning", () => {
  const { warnings, texts } = repair(
    { "tokenizer.json": JSON.stringify(FAST), "tokenizer_config.json": '{"eos_token": ""}' },
    { rows: 3, isLlama: false },
    null,
  );
  assert.equal(warnings.length, 2);
  assert.match(warnings[0] ?? "", /tokenizer_config\.json: eos_token blank/);
  assert.match(warnings[1] ?? "", /has no special_tokens_map\.json, and its tokens are unknown/);
  assert.equal(texts["special_tokens_map.json"], undefined);
});
