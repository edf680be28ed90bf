/** Releases are recognised by each clue, no surer than the clue is, and never by coincidence. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compatibilityOf, describeRelease, mergedReleaseHint, nameOf } from "../../src/llama/describe.js";
import { parseModelConfig } from "../../src/llama/model-config.js";
import { type ReleaseClues, recognizeRelease } from "../../src/llama/recognize.js";
import { RELEASES } from "../../src/llama/releases.js";

function clues(changes: Partial<ReleaseClues>): ReleaseClues {
  return { reference: "somewhere", config: null, embedShape: null, shards: [], isDelta: false, ...changes };
}

function configOf(fields: object) {
  return parseModelConfig({ path: "config.json", text: JSON.stringify(fields) });
}

/** `[repository name, clue, sureness]`, or null. */
function found(changes: Partial<ReleaseClues>): [string, string, string] | null {
  const { recognized } = recognizeRelease(clues(changes));
  return recognized === null ? null : [nameOf(recognized.release), recognized.clue, recognized.sureness];
}

const BY_NAME: [reference: string, name: string, clue: string][] = [
  ["lmsys/vicuna-7b-delta-v1.1", "vicuna-7b-delta-v1.1", "repository"],
  ["hf://lmsys/vicuna-13b-v1.5-16k@main", "vicuna-13b-v1.5-16k", "repository"],
  ["lmsys/vicuna-7b-v1.5@refs/pr/3", "vicuna-7b-v1.5", "repository"],
  [
    "/home/me/.cache/huggingface/hub/models--lmsys--vicuna-7b-delta-v0/snapshots/abc123",
    "vicuna-7b-delta-v0",
    "repository",
  ],
  ["./vicuna-7b-delta-v1.1", "vicuna-7b-delta-v1.1", "folder"],
  ["/models/vicuna-33b-v1.3/", "vicuna-33b-v1.3", "folder"],
  ["C:\\models\\vicuna-7b-v1.5", "vicuna-7b-v1.5", "folder"],
  ["models/Vicuna-13B-v1.3", "vicuna-13b-v1.3", "folder"],
  ["models/lmsys_vicuna-13b-delta-v1.1", "vicuna-13b-delta-v1.1", "folder"],
  ["models/vicuna-7b-delta-v1.1/pytorch_model.bin.index.json", "vicuna-7b-delta-v1.1", "folder"],
  ["models/vicuna-7b-delta-v1.1/pytorch_model-00001-of-00002.bin", "vicuna-7b-delta-v1.1", "folder"],
];

for (const [reference, name, clue] of BY_NAME) {
  test(`a name: ${reference}`, () => {
    assert.deepEqual(found({ reference }), [name, clue, "likely"]);
  });
}

test("every release is recognised by its repository", () => {
  for (const release of RELEASES) {
    assert.deepEqual(found({ reference: release.repository }), [nameOf(release), "repository", "likely"]);
  }
});

test("the folder a reference led to counts, too", () => {
  const folder = "/cache/models--lmsys--vicuna-7b-v1.5/snapshots/0123";
  assert.deepEqual(found({ reference: "link", folder }), ["vicuna-7b-v1.5", "repository", "likely"]);
});

const NOT_BY_NAME = [
  "vicuna-7b",
  "vicuna-7b-v1.5-finetuned",
  "my-vicuna-7b-v1.5",
  "vicuna-7b-v1.5-GPTQ",
  "vicuna-7b-v1.1/checkpoint-100",
  "vicuna-7b-v1.5/results",
  "llava-v1.5-vicuna-7b",
  "vicuna-33b-v1.5",
  "vicuna-7b-delta-v1.3",
  "vicuna-7b-delta-v1",
  "models--eachadea--vicuna-13b-1.1/snapshots/1",
  "",
];

for (const reference of NOT_BY_NAME) {
  test(`no release by coincidence: ${JSON.stringify(reference)}`, () =>
    assert.equal(found({ reference }), null));
}

test("a name that the tensors contradict names nothing, and the doubt is told", () => {
  const reference = "vicuna-7b-delta-v1.1";
  const { recognized, doubts } = recognizeRelease(
    clues({ reference, embedShape: [32_001, 4096], isDelta: true }),
  );
  assert.equal(recognized, null);
  assert.deepEqual(doubts, [
    "it is named vicuna-7b-delta-v1.1, but its embedding has 32,001 rows, as in Vicuna v0, not 32,000",
  ]);
  const wide = recognizeRelease(clues({ reference, embedShape: [32_000, 5120] }));
  assert.deepEqual(wide.doubts, [
    "it is named vicuna-7b-delta-v1.1, but it is 5,120 wide, not 4,096 as a 7B model is",
  ]);
  const deep = recognizeRelease(clues({ reference, config: configOf({ num_hidden_layers: 40 }) }));
  assert.deepEqual(deep.doubts, [
    "it is named vicuna-7b-delta-v1.1, but it has 40 layers, not 32 as a 7B model has",
  ]);
  assert.equal(wide.recognized ?? deep.recognized, null);
});

test("a name that the tensors bear out stays likely, no more", () => {
  const config = configOf({ hidden_size: 4096, num_hidden_layers: 32, vocab_size: 32_001 });
  const expected = ["vicuna-7b-delta-v0", "folder", "likely"];
  assert.deepEqual(found({ reference: "vicuna-7b-delta-v0", config, embedShape: [32_001, 4096] }), expected);
});

test("config.json says where a model came from, which is a possibility", () => {
  const config = configOf({ _name_or_path: "lmsys/vicuna-7b-v1.5" });
  assert.deepEqual(found({ config }), ["vicuna-7b-v1.5", "config", "possible"]);
  const delta = { config: configOf({ _name_or_path: "/output/vicuna-7b-v1.1" }), isDelta: true };
  assert.deepEqual(found(delta), ["vicuna-7b-delta-v1.1", "config", "possible"]);
  assert.equal(found({ config: configOf({ _name_or_path: "lmsys/vicuna-7b-v1.5" }), isDelta: true }), null);
  assert.equal(found({ config, embedShape: [32_064, 4096] }), null, "a model tuned on, with more tokens");
});

const V0_SHARDS = [
  { file: "pytorch_model-00001-of-00002.bin", byteLength: 9_976_642_750 },
  { file: "pytorch_model-00002-of-00002.bin", byteLength: 3_500_323_731 },
];

test("the sizes of its files make a delta possible", () => {
  assert.deepEqual(found({ shards: V0_SHARDS, isDelta: true }), [
    "vicuna-7b-delta-v0",
    "shard-sizes",
    "possible",
  ]);
});

test("sizes prove nothing of what wasn't given as a delta: Llama 2 7B's files are as large as Vicuna's", () => {
  const shards = [
    { file: "pytorch_model-00001-of-00002.bin", byteLength: 9_976_634_558 },
    { file: "pytorch_model-00002-of-00002.bin", byteLength: 3_500_315_539 },
  ];
  assert.equal(found({ shards, embedShape: [32_000, 4096] }), null);
});

test("one size that differs, a name that differs or a missing file is no match", () => {
  const [first, second] = V0_SHARDS as [(typeof V0_SHARDS)[0], (typeof V0_SHARDS)[0]];
  for (const shards of [
    [first],
    [first, { ...second, byteLength: second.byteLength + 1 }],
    [first, { ...second, file: "model-00002-of-00002.bin" }],
    [...V0_SHARDS, { file: "more.bin", byteLength: 1 }],
    [],
  ]) {
    assert.equal(found({ shards, isDelta: true }), null);
  }
});

test("rows and width make a delta possible", () => {
  const shape = (rows: number, width: number, isDelta = true) =>
    found({ embedShape: [rows, width], isDelta });
  assert.deepEqual(shape(32_001, 4096), ["vicuna-7b-delta-v0", "shape", "possible"]);
  assert.deepEqual(shape(32_001, 5120), ["vicuna-13b-delta-v0", "shape", "possible"]);
  assert.deepEqual(shape(32_000, 5120), ["vicuna-13b-delta-v1.1", "shape", "possible"]);
  assert.equal(shape(32_003, 4096), null, "LLaVA");
  assert.equal(shape(32_000, 6656), null, "no delta of 33B was published");
  assert.equal(shape(128_256, 4096), null, "Llama 3 8B");
  assert.equal(shape(32_001, 4096, false), null);
  const config = configOf({ num_hidden_layers: 24 });
  assert.equal(found({ embedShape: [32_001, 4096], config, isDelta: true }), null, "of another depth");
});

test("the summary's line says how sure it is", () => {
  const line = (changes: Partial<ReleaseClues>) => {
    const { recognized } = recognizeRelease(clues(changes));
    return recognized === null ? null : describeRelease(recognized);
  };
  assert.equal(
    line({ reference: "vicuna-7b-delta-v1.1" }),
    "Vicuna 7B v1.1 (delta), by the folder's name; works with fschat >= 0.2.1 and transformers >= 4.28.0",
  );
  assert.equal(
    line({ reference: "lmsys/vicuna-13b-delta-v0" }),
    "Vicuna 13B v0 (delta), by its repository; works with fschat <= 0.1.10",
  );
  assert.equal(
    line({ embedShape: [32_001, 4096], isDelta: true }),
    "possibly Vicuna 7B v0 (delta): its embedding has the same shape, but other models share it; it works with fschat <= 0.1.10",
  );
});

test("what is not known is not said", () => {
  const [release] = RELEASES;
  assert.ok(release !== undefined);
  assert.equal(compatibilityOf({ ...release, fastchat: null, transformers: null }), null);
  assert.equal(compatibilityOf({ ...release, fastchat: null }), "works with transformers >= 4.31.0");
  const recognized = {
    release: { ...release, fastchat: null, transformers: null },
    clue: "folder",
    sureness: "likely",
  } as const;
  assert.equal(describeRelease(recognized), "Vicuna 7B v1.5 (merged), by the folder's name");
});

test("a merged model that was given as a delta is told so by its name, and only then", () => {
  const hint = (changes: Partial<ReleaseClues>) => mergedReleaseHint(recognizeRelease(clues(changes)));
  assert.equal(hint({ reference: "lmsys/vicuna-7b-v1.5" }), "vicuna-7b-v1.5 is a merged model.");
  assert.equal(hint({ reference: "vicuna-7b-delta-v1.1" }), null);
  assert.equal(hint({ config: configOf({ _name_or_path: "lmsys/vicuna-7b-v1.5" }) }), null);
  assert.equal(hint({}), null);
});
