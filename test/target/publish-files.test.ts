/** Targets that are files: put in place one by one, the main one last, whatever ends the run. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { writeFully } from "../../src/files/write-errors.js";
import { stagingPathOf } from "../../src/target/describe.js";
import { openStaging } from "../../src/target/open-staging.js";
import type { StagingOptions } from "../../src/target/staging.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const NAMES = ["m.Modelfile", "m-00002-of-00002.gguf", "m-00001-of-00002.gguf"];
const OPTIONS = { fingerprint: { base: "b", delta: "d" }, sync: true, files: NAMES, shards: NAMES.slice(1) };

function place(context: TestContext) {
  const root = realpathSync(temporaryFolder(context));
  const target = join(root, "m.gguf");
  const open = (more: Partial<StagingOptions> = {}) => openStaging(target, { ...OPTIONS, ...more });
  return { root, target, work: stagingPathOf(target), open };
}

type Place = ReturnType<typeof place>;

/** A run that has made everything and published nothing. */
async function whole(open: Place["open"], text = "FROM", more: Partial<StagingOptions> = {}) {
  const staging = await open(more);
  if (staging.isPublished) return staging;
  for (const name of NAMES.slice(1)) {
    if (staging.kept.has(name)) continue;
    const { fd, path } = staging.createFile(name, 4, []);
    writeFully(fd, Buffer.from("data"), 0, path);
    await staging.finishFile(name, []);
  }
  staging.writeFile("m.Modelfile", text);
  return staging;
}

test("all files appear beside each other, and nothing else stays", async (context) => {
  const { root, open } = place(context);
  assert.equal(await (await whole(open)).commit(), null);
  assert.deepEqual(readdirSync(root).sort(), [...NAMES].sort());
});

test("a run that ended between two renames is gone on with", async (context) => {
  for (let moved = 1; moved <= NAMES.length; moved++) {
    const { root, work, open } = place(context);
    const staging = await whole(open);
    for (const name of NAMES.slice(0, moved)) renameSync(join(work, name), join(root, name));
    // As if killed: its lock goes, its journal stays.
    staging.suspend();
    assert.deepEqual(
      readdirSync(work).filter((name) => name.endsWith(".gguf")).length,
      2 - Math.max(0, moved - 1),
    );
    const next = await whole(open);
    assert.equal(next.kept.size, 2, `after ${moved} renames`);
    assert.equal(await next.commit(), null);
    assert.deepEqual(readdirSync(root).sort(), [...NAMES].sort());
  }
});

test("another run's files aren't taken, nor replaced unasked", async (context) => {
  const { root, work, open } = place(context);
  const staging = await whole(open);
  for (const name of NAMES) renameSync(join(work, name), join(root, name));
  staging.suspend();
  const other = { fingerprint: { base: "b", delta: "another" } };
  await refusal(() => open(other), "target-exists", { file: join(root, "m-00001-of-00002.gguf") });
  assert.equal(await (await whole(open, "FROM", { ...other, overwrite: true })).commit(), null);
  assert.deepEqual(readdirSync(root).sort(), [...NAMES].sort());
});

for (const name of NAMES) {
  test(`${name} of someone else's is in the way, from the beginning`, async (context) => {
    const { root, work, open } = place(context);
    writeFileSync(join(root, name), "mine");
    await refusal(() => open(), "target-exists", { file: join(root, name), hint: /--overwrite/ });
    assert.ok(!existsSync(work));
    assert.equal(await (await whole(open, "FROM", { overwrite: true })).commit(), null);
    assert.notEqual(readFileSync(join(root, name), "utf8"), "mine");
  });
}

test("a file that appears while the run works is not replaced, and what is made is kept", async (context) => {
  const { root, work, open } = place(context);
  const staging = await whole(open);
  writeFileSync(join(root, "m.Modelfile"), "mine");
  await refusal(() => staging.commit(), "target-exists", { file: join(root, "m.Modelfile") });
  assert.equal(staging.suspend(), 2);
  assert.deepEqual(readdirSync(root).sort(), ["m.Modelfile", "m.gguf.incomplete"]);
  assert.ok(existsSync(join(work, "m-00001-of-00002.gguf")));
});
