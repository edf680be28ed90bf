/** What a base or delta gets that can't be found, or is a folder without weights. */
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type BadInput, folderOf, LFS_POINTER, PAIR, testBadInput, WEIGHTS } from "../support/bad-input.js";
import { temporaryFolder, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const SOURCES: BadInput[] = [
  {
    name: "a base path with a typo",
    exit: 3,
    code: "source-not-found",
    make: ({ root }) => ({ base: join(root, "lama-7b") }),
    says: ["the base", "lama-7b", "typo"],
  },
  {
    name: "a delta that isn't there",
    exit: 3,
    code: "source-not-found",
    make: ({ root }) => ({ delta: join(root, "delta.bin") }),
    says: ["the delta", "delta.bin"],
  },
  {
    name: "a Hub name, offline",
    exit: 3,
    code: "not-in-cache",
    make: () => ({ delta: "lmsys/vicuna-7b-delta-v1.1" }),
    says: ["lmsys/vicuna-7b-delta-v1.1", "is not a local path", "--offline"],
  },
  {
    name: "a device",
    exit: 3,
    code: "source-unreadable",
    make: () => ({ base: "/dev/null" }),
    says: ["/dev/null", "not a regular file"],
  },
  {
    name: "a symbolic link to itself",
    exit: 3,
    code: "source-unreadable",
    make: ({ root }) => {
      symlinkSync(join(root, "loop"), join(root, "loop"));
      return { base: join(root, "loop") };
    },
    says: ["loop", "symbolic link"],
  },
  {
    name: "a path longer than the system allows",
    exit: 3,
    code: "source-unreadable",
    make: () => ({ base: `/tmp/${"x".repeat(5000)}` }),
    says: ["(ENAMETOOLONG).", "longer than the system allows"],
  },
  {
    name: "a path through a file",
    exit: 3,
    code: "source-not-found",
    make: ({ base }) => ({ base: join(base, WEIGHTS, "inside") }),
    says: [join(WEIGHTS, "inside")],
  },
  {
    name: "a folder in a shard's place",
    exit: 3,
    code: "source-unreadable",
    make: ({ root }) => {
      const folder = join(root, "other");
      mkdirSync(join(folder, WEIGHTS), { recursive: true });
      return { base: folder };
    },
    says: [join("other", WEIGHTS), "not a regular file"],
  },
];

const FOLDERS: BadInput[] = [
  {
    name: "an empty folder",
    exit: 4,
    code: "no-weights",
    make: (place) => ({ base: folderOf(place, {}) }),
    says: ["other", "got:      nothing"],
  },
  {
    name: "config and tokenizer only",
    exit: 4,
    code: "no-weights",
    make: (place) => ({ delta: folderOf(place, { "config.json": "{}", "tokenizer.model": "t" }) }),
    says: ["other", "config.json, tokenizer.model", "downloaded"],
  },
  {
    name: "the folder around the model's",
    exit: 4,
    code: "no-weights",
    make: ({ root }) => ({ delta: root, target: join(root, "base", "..", "..", "vicuna-never-made") }),
    says: ["Give one of the models inside: ", "base, ", "delta."],
  },
  {
    name: "a folder of llama.cpp",
    exit: 4,
    code: "no-weights",
    make: (place) => ({ base: folderOf(place, { "ggml-model-q4_0.gguf": "GGUF" }) }),
    says: ["llama.cpp", "GGUF", "float16"],
  },
  {
    name: "a folder of an old llama.cpp",
    exit: 4,
    code: "no-weights",
    make: (place) => ({ base: folderOf(place, { "ggml-model-f16.bin": "lmgg" }) }),
    says: ["llama.cpp", "GGML"],
  },
  {
    name: "Meta's original folder without the first file",
    exit: 4,
    code: "shard-missing",
    make: (place) => ({
      base: folderOf(place, { "consolidated.01.pth": "PK", "params.json": "{}", "checklist.chk": "" }),
    }),
    says: ["consolidated.00.pth is missing", "download did not finish"],
  },
  {
    name: "a LoRA adapter",
    exit: 4,
    code: "no-weights",
    make: (place) => ({
      delta: folderOf(place, { "adapter_model.safetensors": "x", "adapter_config.json": "{}" }),
    }),
    says: ["LoRA", "merge_and_unload"],
  },
  {
    name: "an unfinished download",
    exit: 4,
    code: "no-weights",
    make: (place) => ({ base: folderOf(place, { "model.safetensors.part": "x" }) }),
    says: ["unfinished download"],
  },
  {
    name: "a folder of Git LFS pointers",
    exit: 4,
    code: "lfs-pointer",
    make: (place) => ({
      delta: folderOf(place, {
        "pytorch_model-00001-of-00002.bin": LFS_POINTER,
        "pytorch_model-00002-of-00002.bin": LFS_POINTER,
      }),
    }),
    says: ["pytorch_model-00001-of-00002.bin", "9.98 GB", "git lfs pull"],
  },
  {
    name: "a shard missing, by the names",
    exit: 4,
    code: "shard-missing",
    make: (place) => ({
      delta: folderOf(place, {
        "pytorch_model-00001-of-00003.bin": "x",
        "pytorch_model-00003-of-00003.bin": "x",
      }),
    }),
    says: ["pytorch_model-00002-of-00003.bin", "3 shards"],
  },
];

testBadInput("a source", SOURCES);
testBadInput("a folder that is", FOLDERS);

test("a place that is not spoilt merges", async (context) => {
  const root = temporaryFolder(context);
  const base = writeModel(join(root, "base"), PAIR.base);
  const delta = writeModel(join(root, "delta"), PAIR.delta);
  const { code, stderr } = await runCli(["--base", base, "--delta", delta, "--target", join(root, "target")]);
  assert.equal(stderr, "");
  assert.equal(code, 0);
});
