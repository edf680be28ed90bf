/** Tens of thousands of added tokens: all are changed at once, since one by one would take time without end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIds } from "../../src/llama/added-tokens.js";
import { repairTokenizer } from "../../src/llama/tokenizer-repair.js";
import { llamaPieces, sentencePieceModel } from "../support/sentencepiece-samples.js";

const COUNT = 40_000;
const decoder = Object.fromEntries(Array.from({ length: COUNT }, (_, i) => [i + 10, { content: `<t${i}>` }]));
const config = {
  path: "tokenizer_config.json",
  text: JSON.stringify({ eos_token: "</s>", added_tokens_decoder: decoder }),
};

function repair(rows: number, trimmedRows: number) {
  const model = { path: "tokenizer.model", bytes: sentencePieceModel(llamaPieces(10)) };
  const facts = { rows, trimmedRows, isLlama: true, maxPositions: null, chatTemplate: null };
  return repairTokenizer({ model, texts: { "tokenizer_config.json": config } }, facts).texts;
}

test("all that lack in added_tokens.json are added", () => {
  const added = JSON.parse(repair(10 + COUNT, 0)["added_tokens.json"] ?? "") as Record<string, number>;
  assert.equal(Object.keys(added).length, COUNT);
  assert.equal(added["<t7>"], 17);
});

test("all that have no row are removed", () => {
  const { added_tokens_decoder: left } = JSON.parse(repair(12, COUNT - 2)["tokenizer_config.json"] ?? "") as {
    added_tokens_decoder: object;
  };
  assert.deepEqual(Object.keys(left), ["10", "11"]);
});

test("a list of ids has an end", () => {
  const odd = Array.from({ length: 1000 }, (_, i) => 2 * i + 1);
  assert.match(formatIds(odd), /^1, 3, .*, 39, …$/);
});
