/** The tokenizer of a target: from which folder, and that all its files are there. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type AssetFacts, type AssetOptions, planAssets } from "../../src/llama/assets.js";
import { writeFolders } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { llamaPieces, sentencePieceModel } from "../support/sentencepiece-samples.js";

const ROWS = 40;
const FACTS: AssetFacts = { rows: ROWS, trimmedRows: 0, torchDType: "float16" };

type Files = Readonly<Record<string, string | Buffer>>;

const CONFIG = {
  "config.json": `{"model_type": "llama", "torch_dtype": "float16", "vocab_size": ${ROWS}}`,
};
const PIECES = sentencePieceModel(llamaPieces(ROWS));
/** A tokenizer in which nothing is to be mended. */
const SLOW = {
  "tokenizer.model": PIECES,
  "tokenizer_config.json": `{"tokenizer_class": "LlamaTokenizer", "add_bos_token": true, "add_eos_token": false, "legacy": true}`,
  "special_tokens_map.json": `{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}`,
};

/** The plan: `delta` or `base` for what is copied from there, otherwise the text. */
async function plan(
  context: TestContext,
  deltaFiles: Files,
  baseFiles: Files = {},
  facts: Partial<AssetFacts> = {},
  options: AssetOptions = { chatTemplate: null },
) {
  const { delta, base } = writeFolders(context, { delta: deltaFiles, base: baseFiles });
  const assets = await planAssets(delta, base, { ...FACTS, ...facts }, options);
  const files: Record<string, string> = {};
  for (const asset of assets.files) {
    if ("text" in asset) files[asset.fileName] = asset.text;
    else files[asset.fileName] = asset.copyFrom.startsWith(delta) ? "delta" : "base";
  }
  return { files, notes: assets.notes, warnings: assets.warnings };
}

test("pieces alone end with all three files", async (context) => {
  const { files, warnings } = await plan(context, { ...CONFIG, "tokenizer.model": PIECES }, SLOW);
  assert.deepEqual(Object.keys(files), [
    "config.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
  ]);
  assert.equal(files["tokenizer.model"], "delta");
  assert.equal(Buffer.byteLength(files["special_tokens_map.json"] ?? ""), 411);
  assert.deepEqual(warnings, []);
});

test("a v0 delta without a tokenizer: the base's pieces, and [PAD] for the one row above them", async (context) => {
  const { files, notes, warnings } = await plan(context, CONFIG, SLOW, { rows: ROWS + 1 });
  assert.equal(files["tokenizer.model"], "base");
  assert.equal(files["tokenizer_config.json"], "base");
  assert.equal(files["added_tokens.json"], '{\n  "[PAD]": 40\n}\n');
  assert.ok(notes.some((note) => note.endsWith("the base's is taken.")));
  assert.deepEqual(warnings, []);
});

test("the base's pieces with the delta's own names for the rows above them", async (context) => {
  const delta = { ...CONFIG, "added_tokens.json": `{"[PAD]": 40, "<a>": 41}` };
  const { files, warnings } = await plan(context, delta, SLOW, { rows: ROWS + 2 });
  assert.equal(files["tokenizer.model"], "base");
  assert.equal(files["added_tokens.json"], "delta");
  assert.deepEqual(warnings, []);
});

test("a base with more pieces than the model has rows isn't taken", async (context) => {
  const { files, warnings } = await plan(context, CONFIG, SLOW, { rows: ROWS - 1 });
  assert.equal(files["tokenizer.model"], undefined);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /copy the tokenizer's files from where the delta came from/);
});

test("ids in config.json and generation_config.json become the tokenizer's", async (context) => {
  const old = '"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": -1';
  const now = '"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0';
  const config = `{"torch_dtype": "float16", "vocab_size": 40, ${old}}`;
  const delta = { ...SLOW, "config.json": config, "generation_config.json": `{${old}}` };
  const { files } = await plan(context, delta);
  assert.equal(files["config.json"], config.replace(old, now));
  assert.equal(files["generation_config.json"], `{${now}}`);
});

test("a trimmed row's token goes, and added_tokens.json with it", async (context) => {
  const delta = { ...CONFIG, ...SLOW, "added_tokens.json": '{"[PAD]": 40}' };
  const { files, warnings } = await plan(context, delta, {}, { trimmedRows: 1 });
  assert.deepEqual(files, {
    "config.json": "delta",
    ...Object.fromEntries(Object.keys(SLOW).map((name) => [name, "delta"])),
  });
  assert.deepEqual(warnings, []);
});

for (const name of ["config.json", "tokenizer.model", "tokenizer_config.json", "tokenizer.json"]) {
  test(`${name} as a Git LFS pointer`, async (context) => {
    const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 499723\n";
    const error = await refusal(() => plan(context, { ...CONFIG, ...SLOW, [name]: pointer }), "lfs-pointer", {
      hint: /git lfs pull/,
    });
    assert.ok(error.details.file?.endsWith(name));
  });
}

test("a tokenizer.model cut short", async (context) => {
  const cut = { ...CONFIG, ...SLOW, "tokenizer.model": PIECES.subarray(0, 50) };
  await refusal(() => plan(context, cut), "tokenizer-malformed", { file: /tokenizer\.model$/ });
});

test("a tokenizer.model too large to be one", async (context) => {
  const large = { ...CONFIG, ...SLOW, "tokenizer.model": Buffer.alloc(128_000_001) };
  await refusal(() => plan(context, large), "tokenizer-malformed", { got: "128000001 bytes" });
});
