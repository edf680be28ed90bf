/** A model reference becomes a path, a model on the Hub, or an error that says what it was taken for. */
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readRequest, withModels } from "../../src/hub/models.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const read = (reference: string, revision?: string) => readRequest({ role: "base", reference, revision });

test("folders, files and links to them are taken as they are given", async (context) => {
  const root = temporaryFolder(context);
  mkdirSync(join(root, "folder"));
  writeFileSync(join(root, "file.bin"), "");
  symlinkSync(join(root, "folder"), join(root, "link"));
  for (const name of ["folder", "file.bin", "link"]) {
    const reference = join(root, name);
    const {
      open: _,
      download: __,
      ...model
    } = await withModels([read(reference)], {}, async (found) => found);
    assert.deepEqual(model, { path: reference, reference, hub: null, remote: null });
  }
});

test("a local path wins over a name on the Hub, but not over hf://", (context) => {
  const root = temporaryFolder(context);
  mkdirSync(join(root, "owner", "name"), { recursive: true });
  const before = process.cwd();
  process.chdir(root);
  context.after(() => process.chdir(before));
  assert.deepEqual(read("owner/name"), {
    role: "base",
    reference: "owner/name",
    revision: undefined,
    path: "owner/name",
  });
  assert.ok("wanted" in read("hf://owner/name"));
});

for (const [reference, repository, revision] of [
  ["lmsys/vicuna-7b-delta-v1.1", "lmsys/vicuna-7b-delta-v1.1", "main"],
  ["hf://huggyllama/llama-7b", "huggyllama/llama-7b", "main"],
  ["huggyllama/llama-7b@refs/pr/1", "huggyllama/llama-7b", "refs/pr/1"],
  ["https://huggingface.co/lmsys/vicuna-7b-delta-v1.1", "lmsys/vicuna-7b-delta-v1.1", "main"],
  ["https://huggingface.co/a/b/", "a/b", "main"],
  ["https://huggingface.co/a/b?library=transformers#usage", "a/b", "main"],
  ["http://www.huggingface.co/a/b/tree/main", "a/b", "main"],
  ["https://huggingface.co/a/b/tree/refs%2Fpr%2F1", "a/b", "refs/pr/1"],
  ["https://hf.co/a/b/tree/refs/pr/1", "a/b", "refs/pr/1"],
  ["https://huggingface.co/a/b/commit/0123abc", "a/b", "0123abc"],
  ["huggingface.co/a/b.git", "a/b", "main"],
  ["https://huggingface.co/models/a/b", "a/b", "main"],
  ["git@hf.co:a/b", "a/b", "main"],
  ["hf://models/a/b", "a/b", "main"],
  ["hf://models/a/b@v1", "a/b", "v1"],
  [`a/b@${"0".repeat(40)}`, "a/b", "0".repeat(40)],
] as const) {
  test(`${reference} is a model on the Hub`, () => {
    const request = read(reference);
    assert.deepEqual("wanted" in request && request.wanted, {
      repository,
      revision,
      reference,
      isDelta: false,
      withAllFiles: false,
    });
  });
}

const NEITHER = ["", "no-such-folder", "./no/such", "/no/such/folder", "a/b/c", "../lmsys/vicuna"];
for (const reference of [...NEITHER, "a/..", "a/b--c", "-a/b", "a b/c", `a/${"x".repeat(99)}`, "hf://one"]) {
  test(`${JSON.stringify(reference)} is neither`, async () => {
    await refusal(() => read(reference), "source-not-found", {
      file: reference,
      message: /^(?:No such file or folder: .* \(looked in \/.*\)|Not the address of a model: hf:.*)\.$/,
      expected: /owner\/name/,
    });
  });
}

const ADVICE: [reference: string, hint: string | RegExp][] = [
  ["https://huggingface.co/a/b/resolve/main/pytorch_model.bin", /^This leads to one file.*: a\/b\.$/],
  ["https://huggingface.co/a/b/blob/main/model.safetensors?download=true", /: a\/b\.$/],
  ["https://huggingface.co/a/b/tree/main/original", /: a\/b\.$/],
  ["https://huggingface.co/datasets/a/b", /only models of huggingface\.co/],
  ["https://modelscope.cn/models/a/b", /^Download it and give the folder/],
  ["s3://bucket/vicuna", /^Download it and give the folder/],
  ["https://hf-mirror.com/a/b", /HF_ENDPOINT=https:\/\/hf-mirror\.com/],
  ["file:///data/llama", "Give the path: /data/llama."],
  ["a/b/", "Did you mean a/b?"],
  [" a/b", "Did you mean a/b?"],
  ['"a/b"', "Did you mean a/b?"],
  ["a\\b", "Did you mean a/b?"],
  ["models--a--b", "Did you mean a/b?"],
  ["vicuna-7b-delta-v1.1", "Did you mean lmsys/vicuna-7b-delta-v1.1?"],
  ["$MODELS/llama", /^The shell replaces/],
  ["~user/llama", /^The shell replaces/],
  ["llama/*.bin", /^The shell replaces/],
  ["C:\\models\\llama", "Check the path for a typo."],
  ["lama-7b", "Check the path for a typo."],
];
for (const [reference, hint] of ADVICE) {
  test(`what to do about ${JSON.stringify(reference)}`, async () => {
    await refusal(() => read(reference), "source-not-found", { file: reference, hint });
  });
}

test("revisions: from an option, the same twice, two of them, and what is none", async (context) => {
  const request = read("a/b", "v1");
  assert.equal("wanted" in request && request.wanted.revision, "v1");
  assert.doesNotThrow(() => read("a/b@v1", "v1"));
  await refusal(() => read("a/b@v1", "v2"), "bad-usage", { got: /v1 and v2/ });
  for (const revision of [
    "../../etc",
    "a..b",
    "-x",
    "a b",
    "a\\b",
    "",
    "x.lock",
    "a//b",
    "a/",
    "x?y",
    "x#y",
  ]) {
    await refusal(() => read("a/b", revision), "bad-usage");
  }
  await refusal(() => read(temporaryFolder(context), "main"), "bad-usage", { message: /a local path/ });
});

test("what the system refuses is no bug of ours", async (context) => {
  const root = temporaryFolder(context);
  symlinkSync(join(root, "loop"), join(root, "loop"));
  await refusal(() => read(join(root, "loop")), "source-unreadable", { file: join(root, "loop") });
  await refusal(() => read(`/${"x".repeat(5000)}`), "source-unreadable");
  writeFileSync(join(root, "file"), "");
  await refusal(() => read(join(root, "file", "below")), "source-not-found");
});
