/** A model reference becomes a path, or an error that says what it was taken for. */
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { resolveModel } from "../../src/source/resolve.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

test("folders, files and links to them are taken as they are given", (context) => {
  const root = temporaryFolder(context);
  mkdirSync(join(root, "folder"));
  writeFileSync(join(root, "file.bin"), "");
  symlinkSync(join(root, "folder"), join(root, "link"));
  for (const name of ["folder", "file.bin", "link"]) {
    assert.equal(resolveModel(join(root, name), "base"), join(root, name));
  }
});

test("a leading ~/ is the home folder", () => {
  assert.equal(resolveModel("~/", "base"), homedir());
});

for (const [reference, name, folder] of [
  ["lmsys/vicuna-7b-delta-v1.1", "lmsys/vicuna-7b-delta-v1.1", "vicuna-7b-delta-v1.1"],
  ["hf://huggyllama/llama-7b", "huggyllama/llama-7b", "llama-7b"],
  ["huggyllama/llama-7b@main", "huggyllama/llama-7b", "llama-7b"],
] as const) {
  test(`${reference} looks like a name on the Hub`, async () => {
    await refusal(() => resolveModel(reference, "delta"), "source-not-found", {
      file: reference,
      message: /^The delta /,
      hint: new RegExp(`huggingface-cli download ${name} --local-dir ${folder}$`),
    });
  });
}

for (const reference of ["", "no-such-folder", "./no/such", "/no/such/folder", "a/b/c", "../lmsys/vicuna"]) {
  test(`${JSON.stringify(reference)} doesn't`, async () => {
    const error = await refusal(() => resolveModel(reference, "base"), "source-not-found", {
      file: reference,
      message: /^The base /,
    });
    assert.doesNotMatch(error.details.hint ?? "", /huggingface-cli/);
  });
}

test("what the system refuses is no bug of ours", async (context) => {
  const root = temporaryFolder(context);
  symlinkSync(join(root, "loop"), join(root, "loop"));
  await refusal(() => resolveModel(join(root, "loop"), "base"), "source-unreadable", {
    file: join(root, "loop"),
  });
  await refusal(() => resolveModel(`/${"x".repeat(5000)}`, "base"), "source-unreadable");
  writeFileSync(join(root, "file"), "");
  await refusal(() => resolveModel(join(root, "file", "below"), "base"), "source-not-found");
});
