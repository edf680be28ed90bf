/** Which files of a folder are its weights, and what a folder without weights is told. */
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { findWeights } from "../../src/formats/find-weights.js";
import { temporaryFolder } from "../support/model-folder.js";
import { type ExpectedDetails, refusal } from "../support/refusal.js";

/** A folder with these files, all empty: only names are looked at. A name may lead through folders. */
function folderOf(context: TestContext, names: readonly string[]): string {
  const folder = temporaryFolder(context);
  for (const name of names) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, "");
  }
  return folder;
}

const shards = (stem: string, ending: string, numbers: number[], count: number) =>
  numbers.map((n) => `${stem}-${String(n).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.${ending}`);

interface Found {
  readonly index?: string;
  readonly files?: readonly string[];
  readonly notes?: RegExp[];
}

const FOUND: [title: string, names: string[], found: Found][] = [
  ["one safetensors file", ["config.json", "model.safetensors"], { files: ["model.safetensors"] }],
  ["one PyTorch file", ["config.json", "pytorch_model.bin"], { files: ["pytorch_model.bin"] }],
  [
    "a safetensors index",
    ["model.safetensors.index.json", ...shards("model", "safetensors", [1, 2], 2)],
    { index: "model.safetensors.index.json" },
  ],
  [
    "a PyTorch index",
    ["pytorch_model.bin.index.json", ...shards("pytorch_model", "bin", [1, 2], 2)],
    { index: "pytorch_model.bin.index.json" },
  ],
  [
    "Meta's files",
    ["checklist.chk", "consolidated.01.pth", "consolidated.00.pth", "params.json"],
    { files: ["consolidated.00.pth", "consolidated.01.pth"] },
  ],
  [
    "Meta's files beside others",
    ["consolidated.00.pth", "model.safetensors"],
    { files: ["model.safetensors"] },
  ],
  [
    "an index whose shards are all missing",
    ["model.safetensors.index.json"],
    { index: "model.safetensors.index.json" },
  ],
  [
    "one file and an index",
    ["model.safetensors", "model.safetensors.index.json", ...shards("model", "safetensors", [1, 2], 2)],
    { files: ["model.safetensors"], notes: [/model\.safetensors and an index/] },
  ],
  [
    "both formats",
    ["model.safetensors", "pytorch_model.bin"],
    {
      files: ["model.safetensors"],
      notes: [/safetensors and PyTorch .bin weights; the safetensors were read/],
    },
  ],
  [
    "both formats, the safetensors with an index and a single file",
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"],
    { files: ["model.safetensors"], notes: [/PyTorch .bin weights/, /an index/] },
  ],
  [
    "an index of safetensors and PyTorch weights",
    ["model.safetensors.index.json", "model-1.safetensors", "pytorch_model.bin"],
    { index: "model.safetensors.index.json", notes: [/PyTorch .bin weights/] },
  ],
  [
    "files without an index, in natural order",
    ["w-10.bin", "w-9.bin", "w-1.bin", "w-2.bin"],
    { files: ["w-1.bin", "w-2.bin", "w-9.bin", "w-10.bin"] },
  ],
  [
    "a whole set of shards without an index",
    shards("pytorch_model", "bin", [3, 1, 2], 3),
    { files: shards("pytorch_model", "bin", [1, 2, 3], 3) },
  ],
  ["files of any name", ["vicuna.pt", "extra.pth"], { files: ["extra.pth", "vicuna.pt"] }],
  ["safetensors of any name", ["delta.safetensors"], { files: ["delta.safetensors"] }],
  [
    "what a trainer leaves beside the weights",
    [
      ...[
        "training_args.bin",
        "optimizer.bin",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "rng_state_0.pth",
      ],
      ...["scaler.pt", "trainer_state.pt", "adapter_model.bin", "consolidated.00.pth", "tokenizer.bin"],
      ...["ggml-model-q4_0.bin", ".hidden.bin", "weights.bin"],
    ],
    { files: ["weights.bin"] },
  ],
  [
    "safetensors, and of PyTorch nothing that is weights",
    ["model.safetensors", "training_args.bin", "optimizer.pt"],
    { files: ["model.safetensors"] },
  ],
];
for (const [title, names, { index, files = [], notes = [] }] of FOUND) {
  test(`found: ${title}`, (context) => {
    const folder = folderOf(context, names);
    const found = findWeights(folder);
    assert.equal(found.folder, folder);
    assert.equal(found.index, index === undefined ? null : join(folder, index));
    assert.deepEqual(
      found.files,
      files.map((name) => join(folder, name)),
    );
    assert.equal(found.notes.length, notes.length, found.notes.join("\n"));
    for (const [i, pattern] of notes.entries()) assert.match(found.notes[i] ?? "", pattern);
  });
}

test("a file is taken as it is, whatever its name", (context) => {
  const folder = folderOf(context, ["training_args.bin", "model-00001-of-00002.safetensors"]);
  for (const name of ["training_args.bin", "model-00001-of-00002.safetensors"]) {
    const path = join(folder, name);
    assert.deepEqual(findWeights(path), { folder, index: null, files: [path], notes: [] });
  }
});

test("an index can be given by its own path", (context) => {
  const folder = folderOf(context, ["pytorch_model.bin.index.json", "model.safetensors"]);
  const path = join(folder, "pytorch_model.bin.index.json");
  assert.deepEqual(findWeights(path), { folder, index: path, files: [], notes: [] });
});

test("a folder behind a link", (context) => {
  const folder = folderOf(context, ["model/model.safetensors"]);
  symlinkSync(join(folder, "model"), join(folder, "link"));
  assert.deepEqual(findWeights(join(folder, "link")).files, [join(folder, "link", "model.safetensors")]);
});

test("what isn't there", async (context) => {
  const folder = folderOf(context, ["file"]);
  symlinkSync("nowhere", join(folder, "dangling"));
  for (const name of ["missing", "file/below", "dangling"]) {
    await refusal(() => findWeights(join(folder, name)), "source-not-found", { file: join(folder, name) });
  }
});

const MISSING: [title: string, names: string[], missing: string, got: string][] = [
  ["the first", shards("pytorch_model", "bin", [2, 3], 3), "pytorch_model-00001-of-00003.bin", "2"],
  ["one in the middle", shards("model", "safetensors", [1, 3], 3), "model-00002-of-00003.safetensors", "2"],
  ["the last", shards("model", "safetensors", [1, 2], 3), "model-00003-of-00003.safetensors", "2"],
  [
    "one of two sets",
    [...shards("a", "bin", [1, 2], 2), ...shards("b", "bin", [1], 2)],
    "b-00002-of-00002.bin",
    "1",
  ],
];
for (const [title, names, missing, got] of MISSING) {
  test(`a shard is missing without an index: ${title}`, async (context) => {
    const folder = folderOf(context, names);
    await refusal(() => findWeights(folder), "shard-missing", { file: join(folder, missing), got });
  });
}

const UNUSABLE: [title: string, names: string[], details: ExpectedDetails][] = [
  ["nothing", [], { message: /holds no weights/, got: "nothing" }],
  [
    "no weights",
    ["config.json", "tokenizer.model"],
    { hint: /were downloaded/, got: "config.json, tokenizer.model" },
  ],
  [
    "only what is no weights",
    ["training_args.bin"],
    { message: /holds no weights/, got: "training_args.bin" },
  ],
  ["GGUF", ["llama.Q4_K_M.gguf"], { message: /GGUF/, hint: /quantized/ }],
  ["GGML", ["ggml-model-q4_0.bin"], { message: /GGML/, hint: /quantized/ }],
  ["an adapter", ["adapter_config.json", "adapter_model.bin"], { message: /LoRA/, hint: /merge_and_unload/ }],
  ["an adapter in safetensors", ["adapter_model.safetensors"], { message: /LoRA/ }],
  ["TensorFlow's weights", ["tf_model.h5", "config.json"], { message: /TensorFlow or Flax/ }],
  ["TensorFlow's shards", ["tf_model-00001-of-00002.h5"], { message: /TensorFlow or Flax/ }],
  ["Flax's weights", ["flax_model.msgpack"], { message: /TensorFlow or Flax/ }],
  ["a download under way", ["pytorch_model.bin.incomplete"], { message: /unfinished download/ }],
  ["a browser's download under way", ["model.safetensors.crdownload"], { message: /unfinished download/ }],
  ["a download under way of aria2", ["model.safetensors.aria2"], { message: /unfinished download/ }],
  ["a torrent under way", ["model.safetensors.!qB"], { message: /unfinished download/ }],
  [
    "ZeRO's shares",
    ["global_step100/zero_pp_rank_0_mp_rank_00_model_states.pt", "latest"],
    { message: /DeepSpeed ZeRO/, hint: /zero_to_fp32\.py/ },
  ],
  ["ZeRO's script", ["config.json", "zero_to_fp32.py"], { message: /DeepSpeed ZeRO/ }],
  ["Lightning's checkpoint", ["last.ckpt"], { message: /training checkpoint/, hint: /save_pretrained/ }],
  ["an archive", ["delta.zip"], { message: /an archive/, hint: /^Unpack it/ }],
  ["a compressed archive", ["delta.tar.gz"], { message: /an archive/ }],
  [
    "encrypted weights",
    ["pytorch_model.bin.0ab.enc"],
    { message: /encrypted/, hint: /Decrypt.*complete model/ },
  ],
  [
    "an XOR release",
    ["oasst-xor/pytorch_model.bin", "xor_codec.py"],
    { message: /XOR/, hint: /xor_codec\.py/ },
  ],
  ["XOR files", ["pytorch_model.bin.xor"], { message: /XOR release/ }],
  ["many files", Array.from("abcdefghij", (letter) => `${letter}.txt`), { got: /^a\.txt, .*, h\.txt, …$/ }],
];
for (const [title, names, details] of UNUSABLE) {
  test(`no weights: ${title}`, async (context) => {
    const folder = folderOf(context, names);
    await refusal(() => findWeights(folder, false), "no-weights", { file: folder, ...details });
  });
}

test("a GGUF is found where it may be one: a file, its parts, or the only model of a folder", async (context) => {
  const parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];
  const folder = folderOf(context, [...parts, "mmproj-model.gguf", "config.json"]);
  const paths = parts.map((name) => join(folder, name));
  assert.deepEqual(findWeights(folder).files, paths);
  assert.deepEqual(findWeights(join(folder, "m-00002-of-00002.gguf")).files, paths);
  writeFileSync(join(folder, "other.gguf"), "");
  assert.deepEqual(findWeights(join(folder, "other.gguf")).files, [join(folder, "other.gguf")]);
  await refusal(() => findWeights(folder), "no-weights", { message: /several GGUF/, got: /m-00001.*other/ });
});

test("a part of a GGUF that is missing is named", async (context) => {
  const folder = folderOf(context, ["m-00002-of-00002.gguf"]);
  await refusal(() => findWeights(folder), "shard-missing", { file: join(folder, "m-00001-of-00002.gguf") });
});

test("weights one folder down are pointed at, unless a surer clue is there", async (context) => {
  const folder = folderOf(context, ["a/readme.md", "llama-7b/pytorch_model.bin", "config.json"]);
  await refusal(() => findWeights(folder), "no-weights", {
    hint: `Did you mean ${join(folder, "llama-7b")}?`,
  });
  writeFileSync(join(folder, "model.gguf"), "");
  await refusal(() => findWeights(folder, false), "no-weights", { hint: /quantized/ });
});

test("several models one folder down are named, Meta's among them", async (context) => {
  const folder = folderOf(context, ["7B/consolidated.00.pth", "13B/consolidated.00.pth", "tokenizer.model"]);
  await refusal(() => findWeights(folder), "no-weights", {
    hint: /^Give one of the models inside: \S*13B, \S*7B\.$/,
  });
});

test("a folder of the Hub's cache is told its snapshot", async (context) => {
  const folder = folderOf(context, [
    "models--lmsys--vicuna/snapshots/abc123/model.safetensors",
    "other/snapshots/x/y",
  ]);
  const cached = join(folder, "models--lmsys--vicuna");
  await refusal(() => findWeights(cached), "no-weights", {
    hint: new RegExp(`give ${join(cached, "snapshots", "abc123")}`),
  });
  await refusal(() => findWeights(join(folder, "other")), "no-weights", { hint: /were downloaded/ });
});

test("a folder of the Hub's cache without a snapshot", async (context) => {
  const folder = temporaryFolder(context);
  const cached = join(folder, "models--lmsys--vicuna");
  mkdirSync(join(cached, "snapshots"), { recursive: true });
  await refusal(() => findWeights(cached), "no-weights", { hint: /were downloaded/ });
});
