/** What a run leaves that ends while it publishes, and what the next one makes of it. */
import assert from "node:assert/strict";
import fs, {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { writeFully } from "../../src/files/write-errors.js";
import { stagingPathOf } from "../../src/target/describe.js";
import { openStaging } from "../../src/target/open-staging.js";
import { renamePatiently } from "../../src/target/publish.js";
import type { StagingOptions } from "../../src/target/staging.js";
import { JOURNAL, LOCK } from "../../src/target/target.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const SHARD = "model.safetensors";
const OPTIONS = {
  ...{ fingerprint: { base: "b", delta: "d" }, restart: false, sync: true, overwrite: false },
  ...{ shards: [SHARD], silentMs: 50 },
};

function place(context: TestContext) {
  const root = realpathSync(temporaryFolder(context));
  const target = join(root, "out");
  const open = (more: Partial<StagingOptions> = {}) => openStaging(target, { ...OPTIONS, ...more });
  return { root, target, work: stagingPathOf(target), open };
}

type Place = ReturnType<typeof place>;

/** A run whose only shard is finished. */
async function whole(open: Place["open"], more: Partial<StagingOptions> = {}) {
  const staging = await open(more);
  const { fd, path } = staging.createFile(SHARD, 4, []);
  writeFully(fd, Buffer.from("data"), 0, path);
  await staging.finishFile(SHARD, []);
  return staging;
}

function oldTarget(target: string): void {
  mkdirSync(target);
  writeFileSync(join(target, "config.json"), "old");
}

/** Lets a function of `node:fs` fail where `isMeant` says so, until the test ends. */
function failing<Name extends "renameSync" | "rmSync">(
  context: TestContext,
  name: Name,
  isMeant: (path: string) => boolean,
  code = "EIO",
) {
  const original = fs[name] as (path: string, ...rest: unknown[]) => void;
  const restore = () => {
    Object.assign(fs, { [name]: original });
    syncBuiltinESMExports();
  };
  const replacement = (path: string, ...rest: unknown[]) => {
    if (isMeant(path)) throw Object.assign(new Error("the disk is gone"), { code });
    original(path, ...rest);
  };
  Object.assign(fs, { [name]: replacement });
  syncBuiltinESMExports();
  context.after(restore);
  return restore;
}

/** A run that published and couldn't remove its marks: as one that was killed there. */
async function published({ open, target }: Place, context: TestContext, more: Partial<StagingOptions> = {}) {
  const staging = await whole(open, more);
  const restore = failing(context, "rmSync", (path) => path.startsWith(target));
  const warning = await staging.commit();
  restore();
  assert.match(warning ?? "", /^the target is whole, but tidying up failed: .*EIO.*tidy up\.$/);
}

test("what fails once the target is there is a warning, and the next run of the same merge tidies up", async (context) => {
  const here = place(context);
  await published(here, context);
  assert.ok(readdirSync(here.target).includes(JOURNAL));
  const next = await here.open();
  assert.deepEqual([...next.kept], [SHARD]);
  assert.equal(await next.commit(), null);
  assert.deepEqual(readdirSync(here.root), ["out"]);
  assert.deepEqual(readdirSync(here.target), [SHARD]);
});

test("another merge doesn't touch such a target unasked, and replaces it when asked", async (context) => {
  const here = place(context);
  await published(here, context);
  const fingerprint = { base: "other", delta: "d" };
  await refusal(() => here.open({ fingerprint }), "target-exists", { file: here.target });
  assert.equal(readFileSync(join(here.target, SHARD), "latin1"), "data");
  const next = await whole(here.open, { fingerprint, overwrite: true });
  assert.equal(await next.commit(), null);
  assert.deepEqual(readdirSync(here.root), ["out"]);
  assert.deepEqual(readdirSync(here.target), [SHARD]);
});

test("an old target that could not be removed goes with the next run", async (context) => {
  const here = place(context);
  oldTarget(here.target);
  await published(here, context, { overwrite: true });
  assert.deepEqual(readdirSync(here.root), ["out", `out.replaced-${process.pid}`]);
  assert.equal(await (await here.open()).commit(), null);
  assert.deepEqual(readdirSync(here.root), ["out"]);
});

test("where the old target can't be put back, the error says where it is, and the next run does it", async (context) => {
  const { root, target, open } = place(context);
  oldTarget(target);
  const staging = await whole(open, { overwrite: true });
  const aside = `${target}.replaced-${process.pid}`;
  const restore = failing(context, "renameSync", (path) => path !== target);
  await refusal(() => staging.commit(), "target-unwritable", {
    hint: new RegExp(`old target is whole, at ${aside}`),
  });
  restore();
  assert.equal(staging.suspend(), 1);
  assert.deepEqual(readdirSync(root).sort(), ["out.incomplete", `out.replaced-${process.pid}`]);
  // Not asked to replace it, the next run puts it back and stops.
  await refusal(() => open(), "target-exists", { file: target });
  assert.equal(readFileSync(join(target, "config.json"), "utf8"), "old");
  const next = await open({ overwrite: true });
  assert.deepEqual([...next.kept], [SHARD]);
  await next.commit();
  assert.deepEqual(readdirSync(root), ["out"]);
  assert.deepEqual(readdirSync(target), [SHARD]);
});

test("a journal's name for the old target leads nowhere else", async (context) => {
  const { root, work, open } = place(context);
  (await whole(open)).suspend();
  mkdirSync(join(root, "precious"));
  const { dev, ino } = statSync(join(root, "precious"));
  for (const name of ["precious", "../precious", "out.replaced-1/../precious", "out.replaced-x"]) {
    const publishing = { replaced: { name, identity: `${dev}:${ino}` } };
    appendFileSync(join(work, JOURNAL), `${JSON.stringify({ publishing })}\n`);
  }
  await (await open()).commit();
  assert.deepEqual(readdirSync(root).sort(), ["out", "precious"]);
});

test("a target that came meanwhile is not replaced unasked", async (context) => {
  const { target, open } = place(context);
  const staging = await whole(open);
  oldTarget(target);
  await refusal(() => staging.commit(), "target-exists", { file: target });
  assert.equal(staging.suspend(), 1);
  assert.equal(readFileSync(join(target, "config.json"), "utf8"), "old");
});

test("a run that is killed while it removes its folder leaves one that is known as ours", async (context) => {
  const { work, open } = place(context);
  const staging = await open();
  staging.writeFile("config.json", "{}");
  const order: string[] = [];
  failing(context, "rmSync", (path) => {
    order.push(path.slice(work.length + 1));
    return false;
  });
  staging.discard();
  assert.deepEqual(order, ["config.json", JOURNAL, LOCK]);
});

for (const name of [LOCK, `${LOCK}.4711`])
  test(`a folder that holds nothing but ${name} is known as ours`, async (context) => {
    const { work, open } = place(context);
    mkdirSync(work);
    writeFileSync(join(work, name), "");
    (await open()).discard();
  });

test("what cleaning up meets doesn't hide the error before it", async (context) => {
  const { root, open } = place(context);
  const staging = await whole(open);
  staging.writeFile("config.json", "{}");
  const restore = failing(context, "rmSync", () => true);
  assert.equal(staging.suspend(), 1);
  restore();
  assert.deepEqual(readdirSync(root), ["out.incomplete"]);
});

test("a line of the journal that was cut off doesn't spoil those behind it", async (context) => {
  const { work, open } = place(context);
  (await whole(open)).suspend();
  appendFileSync(join(work, JOURNAL), '{"shard":"model-0');
  const second = await open();
  const { fd, path } = second.createFile("second.safetensors", 1, []);
  writeFully(fd, Buffer.from("x"), 0, path);
  await second.finishFile("second.safetensors", []);
  second.suspend();
  const third = await open();
  assert.deepEqual([...third.kept], [SHARD, "second.safetensors"]);
  third.discard();
});

test("a journal of nothing but lines is refused: reading millions would take minutes", async (context) => {
  const { work, open } = place(context);
  (await whole(open)).suspend();
  appendFileSync(join(work, JOURNAL), "\n".repeat(1 << 15));
  await refusal(open, "target-unwritable", { file: join(work, JOURNAL), expected: "at most 32768 lines" });
});

test("what the user put into a finished target stays, whatever a later run does", async (context) => {
  const here = place(context);
  for (const [more, code] of [
    [{}, null],
    [{ fingerprint: { base: "other", delta: "d" } }, "target-exists"],
    [{ restart: true }, "target-exists"],
  ] as const) {
    await published(here, context);
    writeFileSync(join(here.target, "notes.txt"), "the user's");
    writeFileSync(join(here.target, "config.json"), "changed by the user");
    if (code !== null) await refusal(() => here.open(more), code);
    else assert.equal((await here.open(more)).isPublished, true);
    assert.deepEqual(readdirSync(here.root), ["out"]);
    assert.deepEqual(readdirSync(here.target).sort(), ["config.json", SHARD, "notes.txt"].sort());
    rmSync(here.target, { recursive: true });
  }
});

test("a target whose weights were changed since is no finished one, and stays", async (context) => {
  const here = place(context);
  await published(here, context);
  appendFileSync(join(here.target, SHARD), "more");
  await refusal(() => here.open(), "target-exists", { file: here.target });
  assert.equal(readFileSync(join(here.target, SHARD), "latin1"), "datamore");
});

test("a folder to work in that the user renamed is taken for no target, and stays", async (context) => {
  const here = place(context);
  (await whole(here.open)).suspend();
  renameSync(here.work, here.target);
  const before = readdirSync(here.target);
  await refusal(() => here.open(), "target-exists", { file: here.target });
  assert.deepEqual(readdirSync(here.target), before);
});

test("an old target that was exchanged for another folder meanwhile stays", async (context) => {
  const here = place(context);
  oldTarget(here.target);
  await published(here, context, { overwrite: true });
  const aside = join(here.root, `out.replaced-${process.pid}`);
  renameSync(aside, `${aside}-moved`);
  mkdirSync(aside);
  await here.open();
  assert.deepEqual(readdirSync(here.root), [
    "out",
    `out.replaced-${process.pid}`,
    `out.replaced-${process.pid}-moved`,
  ]);
});

test("a target that came before this run had its folder is refused before the work", async (context) => {
  const here = place(context);
  oldTarget(here.target);
  await refusal(() => here.open(), "target-exists", { file: here.target });
  assert.deepEqual(readdirSync(here.root), ["out"]);
});

test("a rename that another program holds up is tried again, and says so in the end", async (context) => {
  const { root } = place(context);
  const [from, to] = [join(root, "from"), join(root, "to")];
  mkdirSync(from);
  let attempts = 0;
  const restore = failing(context, "renameSync", () => ++attempts < 3, "EPERM");
  await renamePatiently(from, to, [1, 1, 1]);
  assert.deepEqual([attempts, readdirSync(root)], [3, ["to"]]);
  restore();
  failing(context, "renameSync", () => ++attempts > 0, "EBUSY");
  await refusal(() => renamePatiently(to, from, [1, 1]), "target-unwritable", { hint: /^Close the program/ });
  assert.equal(attempts, 6);
});
