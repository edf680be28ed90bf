/** The table of releases, as a terminal shows it, and its document. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatWeightsTable } from "../../src/cli/weights-command.js";
import { RELEASES, weightsDocument } from "../../src/llama/releases.js";

/** Columns of a terminal that is not narrow. */
const WIDTH = 100;

const lines = formatWeightsTable(weightsDocument()).split("\n");

test("one row a release, under headings, within the width", () => {
  assert.match(lines[0] ?? "", /^version +kind +base +date +fschat +transformers +context +lmsys\/…$/);
  assert.equal(lines[RELEASES.length + 1], "");
  for (const [i, { repository }] of RELEASES.entries()) {
    assert.ok(lines[i + 1]?.endsWith(`  ${repository.replace("lmsys/", "")}`), repository);
  }
  for (const line of lines) assert.ok(line.length <= WIDTH && line === line.trimEnd(), line);
});

test("rows say what the data says", () => {
  assert.ok(
    lines.includes(
      "v1.1      delta   LLaMA 1 7B   2023-04-12  >=0.2.1   >=4.28.0      2,048    vicuna-7b-delta-v1.1",
    ),
  );
  assert.ok(
    lines.includes(
      "v0        delta   LLaMA 1 13B  2023-03-30  <=0.1.10  -             2,048    vicuna-13b-delta-v0",
    ),
  );
});

test("what to do with each kind stands below", () => {
  const legend = lines.slice(RELEASES.length + 2).join("\n");
  assert.match(legend, /delta: apply it to its base/);
  assert.match(legend, /merged: use it as it is/);
});

test("a date that isn't known is a dash", () => {
  const [release] = RELEASES;
  assert.ok(release !== undefined);
  assert.match(
    formatWeightsTable(weightsDocument([{ ...release, date: null }])),
    /Llama 2 7B +- +>=0\.2\.21/,
  );
});

test("the document has every field, and goes through JSON unchanged", () => {
  const document = weightsDocument();
  assert.deepEqual(JSON.parse(JSON.stringify(document)), document);
  assert.equal(document.releases.length, RELEASES.length);
  const delta = document.releases.find(({ repository }) => repository === "lmsys/vicuna-7b-delta-v1.1");
  assert.equal(delta?.title, "Vicuna 7B v1.1");
  assert.equal(delta?.whatToDo, "Apply it to LLaMA 1 7B.");
  assert.equal(delta?.shards?.[0]?.byteLength, 9_976_634_558);
});
