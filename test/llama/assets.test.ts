/** The files beside the weights: what is taken from where, and how little of a config is changed. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type AssetFacts, type AssetOptions, type Assets, planAssets } from "../../src/llama/assets.js";
import { fixturePath } from "../support/fixture-path.js";
import { temporaryFolder, writeFolders } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const FACTS: AssetFacts = { rows: 3, trimmedRows: 0, torchDType: "float16" };

type Files = Readonly<Record<string, string>>;

const SPECIAL = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" };

/** A tokenizer of three tokens in which nothing is to be mended. */
const TOKENIZER: Files = {
  "tokenizer.json": JSON.stringify({ model: { vocab: { "<unk>": 0, "<s>": 1, "</s>": 2 } } }),
  "tokenizer_config.json": JSON.stringify(SPECIAL),
  "special_tokens_map.json": JSON.stringify(SPECIAL),
};
const CONFIG: Files = { "config.json": '{"torch_dtype": "float16", "vocab_size": 3}' };

interface Planned extends Assets {
  /** By file name: `delta` or `base` where it is copied from there, `text` where it is changed or new. */
  readonly origins: Readonly<Record<string, string>>;
}

async function plan(
  context: TestContext,
  deltaFiles: Files,
  baseFiles: Files,
  facts: Partial<AssetFacts> = {},
  options: AssetOptions = { chatTemplate: null },
): Promise<Planned> {
  const { delta, base } = writeFolders(context, { delta: deltaFiles, base: baseFiles });
  const assets = await planAssets(delta, base, { ...FACTS, ...facts }, options);
  const origins = assets.files.map((asset) => {
    if ("text" in asset) return [asset.fileName, "text"];
    const origin = [delta, base].find((folder) => asset.copyFrom === join(folder, asset.fileName));
    return [asset.fileName, origin === delta ? "delta" : "base"];
  });
  assert.equal(new Set(origins.map(([name]) => name)).size, origins.length, "a file is made twice");
  return { ...assets, origins: Object.fromEntries(origins) };
}

/** The origins of these files. */
const all = (origin: string, ...files: Files[]) =>
  Object.fromEntries(files.flatMap((set) => Object.keys(set).map((name) => [name, origin])));

test("everything comes from the delta where it has everything, and nothing else comes", async (context) => {
  const more = {
    "generation_config.json": "{}",
    "preprocessor_config.json": "x",
    "chat_template.jinja": "x",
  };
  const delta = { ...CONFIG, ...TOKENIZER, ...more, "added_tokens.json": '{"</s>": 2}' };
  const { origins, notes, warnings } = await plan(
    context,
    { ...delta, "README.md": "x" },
    { ...delta, extra: "x" },
  );
  assert.deepEqual(origins, all("delta", delta));
  assert.deepEqual([notes, warnings], [[], []]);
});

test("files of the base don't fill gaps in a delta that has config and tokenizer", async (context) => {
  const base = { ...CONFIG, ...TOKENIZER, "generation_config.json": "{}", "added_tokens.json": "{}" };
  const { origins, warnings } = await plan(
    context,
    { ...CONFIG, ...TOKENIZER },
    { ...base, "chat_template.json": "{}" },
  );
  assert.deepEqual(origins, all("delta", CONFIG, TOKENIZER));
  assert.deepEqual(warnings, []);
});

test("a config too large to be one", async (context) => {
  await refusal(() => plan(context, { "config.json": " ".repeat(16_000_001) }, {}), "bad-json", {
    file: /config\.json$/,
    got: "16000001 bytes",
  });
});

test("a config that is a Git LFS pointer, or isn't UTF-8", async (context) => {
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 600\n";
  await refusal(() => plan(context, { "config.json": pointer }, {}), "lfs-pointer", {
    file: /config\.json$/,
    hint: /git lfs pull/,
  });
  const root = temporaryFolder(context);
  writeFileSync(join(root, "config.json"), Buffer.from('{"a": "\xff"}', "latin1"));
  await refusal(() => planAssets(root, root, FACTS, { chatTemplate: null }), "bad-json", {
    file: join(root, "config.json"),
    message: /UTF-8/,
  });
});

test("a folder in the place of config.json", async (context) => {
  const root = temporaryFolder(context);
  mkdirSync(join(root, "config.json"));
  await refusal(() => planAssets(root, root, FACTS, { chatTemplate: null }), "source-unreadable", {
    file: join(root, "config.json"),
  });
});

test("without a config in the delta, the base's is taken and corrected", async (context) => {
  const base = { "config.json": '{"torch_dtype":"float32","vocab_size":4}', "generation_config.json": "{}" };
  const { origins, notes, files } = await plan(context, TOKENIZER, base);
  assert.deepEqual(origins, {
    "config.json": "text",
    "generation_config.json": "base",
    ...all("delta", TOKENIZER),
  });
  assert.equal(
    notes[0],
    "the delta has no config.json: config.json and generation_config.json taken from the base.",
  );
  const config = files.find(({ fileName }) => fileName === "config.json");
  assert.ok(config !== undefined && "text" in config);
  assert.equal(config.text, '{"torch_dtype":"float16","vocab_size":3}');
  assert.match(config.repaired ?? "", /base.config\.json$/);
});

test("the delta's generation config stays where only the config comes from the base", async (context) => {
  const base = { ...CONFIG, "generation_config.json": '{"of": "base"}' };
  const { origins, notes } = await plan(
    context,
    { ...TOKENIZER, "generation_config.json": '{"of": "delta"}' },
    base,
  );
  assert.equal(origins["generation_config.json"], "delta");
  assert.equal(origins["config.json"], "base");
  assert.deepEqual(notes, ["the delta has no config.json: config.json taken from the base."]);
});

test("no config anywhere is a warning, though the base has a generation config", async (context) => {
  const { origins, warnings } = await plan(context, TOKENIZER, { "generation_config.json": "{}" });
  assert.deepEqual(origins, all("delta", TOKENIZER));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /neither delta nor base has a config\.json/);
});

test("without a vocabulary in the delta the base's is taken, and the delta's other files before the base's", async (context) => {
  const { origins, notes, warnings } = await plan(
    context,
    { ...CONFIG, "special_tokens_map.json": JSON.stringify(SPECIAL) },
    { ...TOKENIZER, "chat_template.jinja": "of the base" },
  );
  assert.deepEqual(origins, {
    ...all("base", TOKENIZER),
    "special_tokens_map.json": "delta",
    "config.json": "delta",
    "chat_template.jinja": "base",
  });
  assert.equal(notes.length, 1);
  assert.match(notes[0] ?? "", /the delta has no tokenizer\.model or tokenizer\.json: the base's is taken/);
  assert.deepEqual(warnings, []);
});

test("a base's tokenizer that lacks a token for a row is not taken", async (context) => {
  const config = { "config.json": '{"torch_dtype": "float16", "vocab_size": 9}' };
  const { origins, warnings } = await plan(context, config, TOKENIZER, { rows: 9 });
  assert.deepEqual(origins, all("delta", config));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /the base's lacks the tokens the delta adds/);
});

test("no vocabulary anywhere is a warning, though the base has files that belong to one", async (context) => {
  const { "tokenizer.json": _, ...rest } = TOKENIZER;
  for (const base of [{}, rest]) {
    const { origins, warnings } = await plan(context, CONFIG, base);
    assert.deepEqual(origins, all("delta", CONFIG));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /and neither has the base/);
  }
});

test("a chat template that is asked for isn't hidden by another file", async (context) => {
  const delta = { ...CONFIG, ...TOKENIZER, "chat_template.jinja": "x", "chat_template.json": "{}" };
  const { origins, files, notes } = await plan(context, delta, {}, {}, { chatTemplate: "v1.1" });
  assert.deepEqual(origins, { ...all("delta", CONFIG, TOKENIZER), "tokenizer_config.json": "text" });
  const config = files.find(({ fileName }) => fileName === "tokenizer_config.json");
  const { chat_template, ...others } = JSON.parse(
    config !== undefined && "text" in config ? config.text : "",
  ) as {
    chat_template: string;
  };
  assert.match(chat_template, /USER/);
  assert.deepEqual(others, SPECIAL);
  assert.ok(notes.includes("chat_template.jinja is left out: it would hide the template of Vicuna v1.1."));
});

test("more rows than any vocabulary has tokens are refused before they are counted through", async () => {
  const root = fixturePath("tokenizer");
  await refusal(
    () => planAssets(root, root, { ...FACTS, rows: 2 ** 40 }, { chatTemplate: null }),
    "wrong-size",
    { tensor: "model.embed_tokens.weight", got: 2 ** 40 },
  );
});
