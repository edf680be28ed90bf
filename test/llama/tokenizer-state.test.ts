/** Which tokenizer files a folder has, and whether they have a token for every row. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readTokenizerState } from "../../src/llama/tokenizer-state.js";
import { projectPath } from "../support/fixture-path.js";
import { temporaryFolder } from "../support/model-folder.js";
import { llamaPieces, sentencePieceModel } from "../support/sentencepiece-samples.js";

function folderOf(context: TestContext, files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = temporaryFolder(context);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

const PIECES = { "tokenizer.model": sentencePieceModel(llamaPieces(16)) };
const VOCAB = Object.fromEntries(llamaPieces(12).map((piece, id) => [piece, id]));

test("the example's", async () => {
  const state = await readTokenizerState(projectPath("examples/tiny/base"), 320);
  assert.deepEqual(state, {
    files: ["tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"],
    pieces: 320,
    addedTokens: 0,
    rows: 320,
    problems: [],
    faults: [],
  });
});

test("a row without a token, as v0's without its added_tokens.json", async (t) => {
  const state = await readTokenizerState(folderOf(t, PIECES), 17);
  assert.deepEqual([state.pieces, state.addedTokens], [16, 0]);
  assert.deepEqual(state.problems, ["1 row of the embedding has no token"]);
  assert.deepEqual(state.faults, []);
  assert.deepEqual((await readTokenizerState(folderOf(t, PIECES), 20)).problems, [
    "4 rows of the embedding have no token",
  ]);
});

const NAMING: [file: string, content: object][] = [
  ["added_tokens.json", { "[PAD]": 16 }],
  [
    "tokenizer_config.json",
    { added_tokens_decoder: { "2": { content: "</s>" }, "16": { content: "[PAD]" } } },
  ],
  ["tokenizer.json", { model: { vocab: VOCAB }, added_tokens: [{ id: 16, content: "[PAD]" }] }],
];

for (const [file, content] of NAMING) {
  test(`${file} names an added token`, async (t) => {
    const state = await readTokenizerState(folderOf(t, { ...PIECES, [file]: JSON.stringify(content) }), 17);
    assert.deepEqual([state.pieces, state.addedTokens, state.problems], [16, 1, []]);
  });
}

test("tokens without rows", async (t) => {
  const folder = folderOf(t, { ...PIECES, "added_tokens.json": '{"[PAD]": 16}' });
  const { problems, faults } = await readTokenizerState(folder, 16);
  assert.deepEqual(problems, ["17 tokens, but the embedding has only 16 rows"]);
  assert.deepEqual(faults, problems);
});

test("a tokenizer.json alone counts, too", async (t) => {
  const folder = folderOf(t, { "tokenizer.json": JSON.stringify({ model: { vocab: VOCAB } }) });
  assert.equal((await readTokenizerState(folder, 12)).pieces, 12);
});

test("no tokenizer, and no embedding", async (t) => {
  const nothing = await readTokenizerState(folderOf(t, {}), 16);
  assert.deepEqual(nothing.problems, ["there is neither tokenizer.model nor tokenizer.json"]);
  assert.equal(nothing.pieces, null);
  assert.deepEqual((await readTokenizerState(folderOf(t, PIECES), null)).problems, []);
});

test("files that can't be read are lines, not errors", async (t) => {
  const folder = folderOf(t, {
    "tokenizer.model": "stands for a tokenizer\n",
    "tokenizer_config.json": "{",
    "added_tokens.json": '{"[PAD]": -1}',
  });
  const { problems, pieces, addedTokens } = await readTokenizerState(folder, 16);
  assert.equal(problems.length, 3);
  assert.match(problems[0] ?? "", /^tokenizer\.model can't be read: The tokenizer model is malformed/);
  assert.match(problems[1] ?? "", /^tokenizer_config\.json can't be read: /);
  assert.match(problems[2] ?? "", /^added_tokens\.json can't be read: \[PAD\]: /);
  assert.deepEqual([pieces, addedTokens], [null, null]);
});
