import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { applyDelta, planMerge } from "../../src/apply/apply-delta.js";
import { modelfile } from "../../src/llama/modelfile.js";
import { fixturePath, projectPath } from "../support/fixture-path.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const base = projectPath("examples/tiny/base");
const delta = projectPath("examples/tiny/delta");

test("a Modelfile is written beside a GGUF, and names it", async (context) => {
  const root = temporaryFolder(context);
  await applyDelta({ base, delta, target: join(root, "tiny.gguf"), modelfile: "v1.1" });
  assert.deepEqual(readdirSync(root).sort(), ["tiny.Modelfile", "tiny.gguf"]);
  const expected = modelfile("tiny.gguf", "v1.1", 2048);
  assert.equal(readFileSync(join(root, "tiny.Modelfile"), "utf8"), expected);
});

test("a GGUF without the Modelfile that is asked for isn't the one that was made", async (context) => {
  const target = join(temporaryFolder(context), "tiny.gguf");
  const run = (options: object) => applyDelta({ base, delta, target, ...options });
  await run({});
  await refusal(() => run({ modelfile: "v0" }), "target-exists", { hint: /--overwrite/ });
  await run({ modelfile: "v0", overwrite: true });
  // The same again is done at once.
  await run({ modelfile: "v0" });
});

test("a pipe in a Modelfile's place holds nobody up", {
  skip: process.platform === "win32",
}, async (context) => {
  const root = temporaryFolder(context);
  const run = () => applyDelta({ base, delta, target: join(root, "tiny.gguf"), modelfile: "v1.1" });
  await run();
  const path = join(root, "tiny.Modelfile");
  rmSync(path);
  execFileSync("mkfifo", [path]);
  await refusal(run, "target-exists", { hint: /--overwrite/ });
});

test("in a folder its name is Modelfile; auto takes the style of the chat template", async (context) => {
  const target = join(temporaryFolder(context), "tiny");
  const asked = { base, delta, target, format: "gguf", dtype: "Q8_0" } as const;
  await applyDelta({ ...asked, chatTemplate: "v0", modelfile: "auto" });
  const text = readFileSync(join(target, "Modelfile"), "utf8");
  assert.equal(text, modelfile("tiny-Q8_0.gguf", "v0", 2048));
});

test("a Modelfile that is there is not replaced unasked", async (context) => {
  const root = temporaryFolder(context);
  const target = join(root, "tiny.gguf");
  writeFileSync(join(root, "tiny.Modelfile"), "FROM ./mine.gguf\n");
  const run = (overwrite: boolean) => applyDelta({ base, delta, target, modelfile: "v0", overwrite });
  await refusal(() => run(false), "target-exists", { file: /tiny\.Modelfile$/ });
  assert.deepEqual(
    readdirSync(root).filter((name) => name.endsWith("gguf")),
    [],
  );
  await run(true);
  assert.match(readFileSync(join(root, "tiny.Modelfile"), "utf8"), /tiny\.gguf/);
});

test("refused before the first byte: no GGUF, one in parts, a prompt that can't be told", async (context) => {
  const root = temporaryFolder(context);
  const plan = (name: string, options: object) => () =>
    planMerge({ base, delta, target: join(root, name), ...options });
  await refusal(plan("tiny", { modelfile: "v0" }), "bad-usage", { hint: /--format gguf/ });
  await refusal(plan("x.gguf", { modelfile: "v0", maxShardBytes: 100_000 }), "bad-usage", { got: /files/ });
  await refusal(plan("x.gguf", { modelfile: "auto" }), "bad-usage", { hint: /--modelfile v1\.1/ });
  assert.deepEqual(readdirSync(root), []);
});

test("a tokenizer.json without tokenizer.model is a warning: llama.cpp cuts texts in another way", async (context) => {
  const root = temporaryFolder(context);
  const bare = join(root, "delta");
  cpSync(delta, bare, { recursive: true });
  rmSync(join(bare, "tokenizer.model"));
  cpSync(fixturePath("gguf/tokenizer.json"), join(bare, "tokenizer.json"));
  const { warnings } = await planMerge({ base, delta: bare, target: join(root, "x.gguf") });
  assert.match(warnings.join(), /no scores/);
});
