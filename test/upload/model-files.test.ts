/** Which names are a model's: what is sent, what is replaced, what would be stale. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { filesToSend, isModelPart, meetFiles } from "../../src/upload/model-files.js";

test("what a loader takes for a part of a model", () => {
  for (const name of [
    ...["model.safetensors", "pytorch_model-00001-of-00002.bin", "consolidated.00.pth", "config.json"],
    ...["model.safetensors.index.json", "tokenizer.model", "SHA256SUMS", "vicuna-apply-delta.json"],
  ])
    assert.ok(isModelPart(name), name);
  for (const name of ["README.md", "LICENSE", ".gitattributes", "notes.txt", "images/a.bin", "model.gguf"])
    assert.ok(!isModelPart(name), name);
});

test("sent are the weights that were read and what stands beside them, and nothing else", () => {
  const names = ["model.safetensors", "pytorch_model.bin", "config.json", "README.md", "log.txt", ".env"];
  assert.deepEqual(filesToSend(names, ["model.safetensors"]), [
    "README.md",
    "config.json",
    "model.safetensors",
  ]);
});

test("what is there is replaced, stale, or none of ours", () => {
  const there = [".gitattributes", "README.md", "config.json", "model.safetensors.index.json", "LICENSE"];
  assert.deepEqual(meetFiles(there, ["README.md", "config.json", "model.safetensors"], false), {
    replaced: ["README.md", "config.json"],
    stale: ["model.safetensors.index.json"],
  });
  assert.deepEqual(meetFiles(there, ["README.md", "x.gguf"], true), { replaced: ["README.md"], stale: [] });
});
