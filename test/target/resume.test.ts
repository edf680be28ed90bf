/** Shards that are finished outlive their run, for the same merge and no other. */
import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { writeFully } from "../../src/files/write-errors.js";
import { stagingPathOf } from "../../src/target/describe.js";
import { openStaging } from "../../src/target/open-staging.js";
import { type Staging, type StagingOptions, stagedBytes } from "../../src/target/staging.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
const [FIRST, SECOND] = SHARDS;
const OPTIONS = {
  ...{ fingerprint: { base: "b", delta: "d" }, restart: false, sync: true, overwrite: false },
  ...{ shards: SHARDS, silentMs: 50 },
};

interface Place {
  readonly root: string;
  readonly target: string;
  readonly work: string;
  open(more?: Partial<StagingOptions>): Promise<Staging>;
}

function place(context: TestContext): Place {
  const root = realpathSync(temporaryFolder(context));
  const target = join(root, "new", "out");
  const open = (more: Partial<StagingOptions> = {}) => openStaging(target, { ...OPTIONS, ...more });
  return { root, target, work: stagingPathOf(target), open };
}

function create(staging: Staging, name: string): void {
  const { fd, path } = staging.createFile(name, 8, [{ offsetBytes: 0, bytes: Buffer.from("head") }]);
  writeFully(fd, Buffer.from("tail"), 4, path);
}

/** A run that has one of two shards when it ends. */
async function half(open: Place["open"], more: Partial<StagingOptions> = {}): Promise<number> {
  const staging = await open(more);
  for (const name of SHARDS) create(staging, name);
  await staging.finishFile(FIRST, []);
  staging.writeFile("config.json", "{}");
  return staging.suspend();
}

test("a finished shard is kept, and nothing else; the next run completes it", async (context) => {
  const { root, target, work, open } = place(context);
  assert.equal(await half(open), 1);
  assert.deepEqual(readdirSync(work), [".vicuna-apply-delta", FIRST]);
  const next = await open();
  assert.deepEqual([...next.kept], [FIRST]);
  assert.deepEqual([next.discarded, next.changed], [0, []]);
  create(next, SECOND);
  await next.commit();
  assert.deepEqual(readdirSync(target).sort(), [...SHARDS]);
  assert.equal(readFileSync(join(target, FIRST), "latin1"), "headtail");
  assert.deepEqual(readdirSync(join(root, "new")), ["out"]);
});

test("a second interruption keeps what both runs finished", async (context) => {
  const { open } = place(context);
  await half(open);
  const second = await open();
  create(second, SECOND);
  await second.finishFile(SECOND, []);
  assert.equal(second.suspend(), 2);
  const third = await open();
  assert.deepEqual([...third.kept], [...SHARDS]);
  third.discard();
});

test("where nothing is finished, nothing is left, parents included", async (context) => {
  const { root, open } = place(context);
  const staging = await open();
  create(staging, FIRST);
  assert.equal(staging.suspend(), 0);
  assert.deepEqual(readdirSync(root), []);
});

for (const [what, fingerprint, changed] of [
  ["the delta", { base: "b", delta: "other" }, ["delta"]],
  ["both", { base: "other", delta: "other" }, ["base", "delta"]],
  ["a part that is new", { ...OPTIONS.fingerprint, version: "2" }, ["version"]],
] as const) {
  test(`another merge keeps nothing and says why: ${what}`, async (context) => {
    const { work, open } = place(context);
    await half(open);
    const next = await open({ fingerprint });
    assert.deepEqual([...next.kept], []);
    assert.deepEqual([next.discarded, next.changed], [1, changed]);
    assert.equal(existsSync(join(work, FIRST)), false);
    next.discard();
  });
}

test("a restart keeps nothing", async (context) => {
  const { open } = place(context);
  await half(open);
  const next = await open({ restart: true });
  assert.deepEqual([next.kept.size, next.discarded, next.changed], [0, 1, []]);
  next.discard();
});

test("what isn't synced isn't remembered", async (context) => {
  const { root, open } = place(context);
  assert.equal(await half(open, { sync: false }), 0);
  assert.deepEqual(readdirSync(root), []);
});

for (const [what, change] of [
  ["longer", (path: string) => appendFileSync(path, "more")],
  ["written again", (path: string) => utimesSync(path, 1, 1)],
  ["gone", (path: string) => writeFileSync(path, "")],
] as const) {
  test(`a shard that is ${what} since it was finished is made again`, async (context) => {
    const { work, open } = place(context);
    await half(open);
    change(join(work, FIRST));
    const next = await open();
    assert.equal(next.kept.size, 0);
    next.discard();
  });
}

test("a record that was cut off anywhere is as good as the lines before", async (context) => {
  const { work, open } = place(context);
  await half(open);
  const path = join(work, ".vicuna-apply-delta");
  const record = readFileSync(path, "utf8");
  const [FILES, FINDINGS] = [JSON.stringify({ files: SHARDS }), '"findings":[]}'];
  for (let length = record.length; length >= 0; length -= 7) {
    await half(open, { restart: true });
    writeFileSync(path, readFileSync(path).subarray(0, length));
    // A line is whole without its line break, too.
    const has = (text: string) => length >= record.indexOf(text) + text.length;
    if (has(FILES)) {
      const next = await open();
      assert.equal(next.kept.size, has(FINDINGS) ? 1 : 0, `${length} of ${record.length} bytes`);
      next.discard();
    } else {
      // Nobody knows any more whose the shard is: it stays.
      await refusal(open, "target-exists", { file: work, got: FIRST });
      assert.ok(existsSync(join(work, FIRST)));
    }
    rmSync(work, { recursive: true, force: true });
  }
});

test("what an earlier run holds of the disk is counted, and only if it is ours", async (context) => {
  const { root, target, work, open } = place(context);
  assert.equal(stagedBytes(target), 0);
  await half(open);
  assert.ok(stagedBytes(target) >= 8);
  assert.equal(stagedBytes(join(root, "elsewhere")), 0);
  assert.ok(existsSync(work));
});
