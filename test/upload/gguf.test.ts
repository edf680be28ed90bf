/** A GGUF sent to a Hub on loopback: with what belongs to it, beside what is there. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { checkUpload, uploadModel } from "../../src/upload/upload-model.js";
import { tinyGguf } from "../support/gguf-target.js";
import { refusal } from "../support/refusal.js";
import { DESTINATION, localFiles, uploadRun } from "../support/upload-run.js";

const OTHERS = {
  "model.safetensors": Buffer.from("x"),
  "config.json": Buffer.from("{}"),
  "q2.gguf": Buffer.from("y"),
};

test("a file goes with its checksums and its Modelfile, beside other models; what lies around it stays here", async (context) => {
  const { options, there } = await uploadRun(context, { [DESTINATION]: { files: OTHERS } });
  const gguf = await tinyGguf(context, { dtype: "Q8_0", checksums: true });
  writeFileSync(join(dirname(gguf), "vicuna.Modelfile"), "FROM ./vicuna.gguf");
  writeFileSync(join(dirname(gguf), "notes.txt"), "mine");
  const { sent, removed } = await uploadModel(gguf, options());
  assert.deepEqual(sent, ["vicuna.Modelfile", "vicuna.gguf", "vicuna.gguf.sha256"]);
  assert.deepEqual(removed, []);
  assert.deepEqual(there()["vicuna.gguf"], readFileSync(gguf));
  assert.deepEqual(Object.keys(there()).sort(), [...sent, ...Object.keys(OTHERS)].sort());
  const other = await tinyGguf(context, { dtype: "Q4_0" });
  await refusal(() => uploadModel(other, options()), "repository-occupied", { got: basename(other) });
});

test("before it is made, only files that it would replace are in its way", async (context) => {
  const parts = { "vicuna-00001-of-00002.gguf": Buffer.from("x"), "vicuna.Modelfile": Buffer.from("x") };
  const { options } = await uploadRun(context, {
    [DESTINATION]: { files: OTHERS },
    "owner/split": { files: { ...OTHERS, ...parts, "README.md": Buffer.from("x") } },
  });
  const check = (repository: string, target: string, format?: "gguf") =>
    checkUpload({ ...options({ repository }), target, format });
  await check(DESTINATION, "models/vicuna.gguf");
  await check(DESTINATION, "models/vicuna", "gguf");
  const occupied = (call: () => Promise<void>, got: string) => refusal(call, "repository-occupied", { got });
  await occupied(() => check(DESTINATION, "models/q2.gguf"), "q2.gguf");
  await occupied(() => check(DESTINATION, "models/vicuna"), "model.safetensors, config.json");
  await occupied(() => check("owner/split", "vicuna.gguf"), Object.keys(parts).join(", "));
  await occupied(() => check("owner/split", "vicuna", "gguf"), "README.md");
});

test("any part of one that is split stands for all; a folder goes whole", async (context) => {
  const { options, there } = await uploadRun(context);
  const target = await tinyGguf(context, { dtype: "Q8_0", maxShardBytes: 150_000, checksums: true });
  const part = target.replace(".gguf", "-00002-of-00003.gguf");
  const ofParts = (await uploadModel(part, options())).sent;
  assert.deepEqual([ofParts.length, ofParts.at(-1)], [4, "vicuna.gguf.sha256"]);
  const folder = await tinyGguf(context, { target: "vicuna-tiny", format: "gguf", checksums: true });
  const { sent } = await uploadModel(folder, options({ repository: "owner/folder" }));
  assert.deepEqual(
    sent,
    localFiles(folder).map(([name]) => name),
  );
  assert.equal(Object.keys(there()).length, 4);
});

test("half a GGUF isn't sent, nor any other file", async (context) => {
  const { options, puts, folder } = await uploadRun(context);
  const gguf = await tinyGguf(context);
  writeFileSync(gguf, readFileSync(gguf).subarray(0, -64));
  await refusal(() => uploadModel(gguf, options()), "truncated-file", { file: gguf });
  const config = join(folder, "config.json");
  await refusal(() => uploadModel(config, options()), "bad-usage", { file: config, message: /GGUF/ });
  assert.equal(puts().length, 0);
});
