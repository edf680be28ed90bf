/** The folder the work goes on in: it becomes the target whole, or nothing of it is left. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs, {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startOf } from "../../src/files/lock.js";
import { stagingPathOf } from "../../src/target/describe.js";
import { listing } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { createStaging, fileAt, fill, place, WHOLE } from "../support/small-staging.js";

const JOURNAL = ".vicuna-apply-delta";
const LOCK = ".vicuna-apply-delta.lock";

test("until the commit there is no target; after it, there is nothing else", async (context) => {
  const { root, target, work } = place(context);
  const staging = await createStaging(target);
  assert.equal(staging.folder, work);
  assert.equal(staging.kept.size, 0);
  fill(staging);
  assert.deepEqual(readdirSync(root), ["out.incomplete"]);
  await staging.commit();
  assert.deepEqual(readdirSync(root), ["out"]);
  assert.deepEqual(readdirSync(target).sort(), WHOLE);
  assert.equal(readFileSync(join(target, "model.safetensors"), "latin1"), "head\0\0tail");
});

test("a discard leaves nothing, and may come twice", async (context) => {
  const { root, target } = place(context);
  const staging = await createStaging(target);
  fill(staging);
  staging.discard();
  staging.discard();
  assert.deepEqual(readdirSync(root), []);
});

test("parents that were made go with a discard, those that were there stay", async (context) => {
  const { root, target } = place(context, "there/new/deep/out");
  mkdirSync(join(root, "there"));
  const staging = await createStaging(target);
  fill(staging);
  staging.discard();
  assert.deepEqual(readdirSync(root), ["there"]);
  assert.deepEqual(readdirSync(join(root, "there")), []);
});

test("parents that were made stay where something else has come into them", async (context) => {
  const { root, target } = place(context, "new/deep/out");
  const staging = await createStaging(target);
  fileAt(join(root, "new", "someone's"));
  staging.discard();
  assert.deepEqual(readdirSync(join(root, "new")), ["someone's"]);
});

test("parents that were made go where the folder itself can't be made", async (context) => {
  // The target's name is legal, the longer one of the folder beside it isn't.
  const { root, target } = place(context, `new/deep/${"x".repeat(250)}`);
  await refusal(() => createStaging(target), "target-unwritable", {
    file: stagingPathOf(target),
    hint: /shorter/,
  });
  assert.deepEqual(readdirSync(root), []);
});

test("parents that were made stay after a commit", async (context) => {
  const { root, target } = place(context, "new/deep/out");
  const staging = await createStaging(target);
  fill(staging);
  await staging.commit();
  assert.deepEqual(readdirSync(join(root, "new", "deep")), ["out"]);
});

test("what a killed run left unfinished is removed, whatever its lock says", async (context) => {
  const { target, work } = place(context);
  const holder = (more: object) => JSON.stringify({ pid: 1, host: hostname(), started: "0", ...more });
  for (const lock of ["", holder({}), holder({ pid: process.pid }), holder({ pid: 4194305 }), "not JSON"]) {
    fileAt(join(work, JOURNAL), '{"fingerprint":{}}\n{"files":["old.safetensors"]}\n');
    fileAt(join(work, LOCK), lock);
    fileAt(join(work, "old.safetensors"));
    const staging = await createStaging(target);
    assert.equal(staging.kept.size, 0);
    assert.deepEqual(readdirSync(work).sort(), [JOURNAL, LOCK]);
    staging.discard();
    assert.equal(existsSync(work), false);
  }
});

test("what two killed runs left unfinished is known as theirs, too", async (context) => {
  const { target, work } = place(context);
  for (let runs = 0; runs < 2; runs++) {
    const staging = await createStaging(target);
    fill(staging);
    const left = new Map(readdirSync(work).map((name) => [name, readFileSync(join(work, name))]));
    staging.discard();
    mkdirSync(work);
    for (const [name, bytes] of left) if (name !== LOCK) writeFileSync(join(work, name), bytes);
  }
  (await createStaging(target)).discard();
  assert.equal(existsSync(work), false);
});

test("files in the folder that no run made are neither removed nor published", async (context) => {
  const { root, target, work } = place(context);
  const first = await createStaging(target);
  fill(first);
  await first.finishFile("model.safetensors", []);
  first.suspend();
  fileAt(join(work, "notes.txt"));
  const before = listing(root);
  await refusal(() => createStaging(target), "target-exists", { file: work, got: "notes.txt" });
  assert.deepEqual(listing(root), before);
});

test("a user's file that comes into the folder stays when the run ends without a target", async (context) => {
  const { target, work } = place(context);
  const staging = await createStaging(target);
  fill(staging);
  fileAt(join(work, "notes.txt"), "the user's");
  staging.discard();
  assert.deepEqual(readdirSync(work), ["notes.txt"]);
});

test("a folder that isn't ours is refused and left alone", async (context) => {
  const { root, target, work } = place(context);
  fileAt(join(work, "someone's"));
  const before = listing(root);
  await refusal(() => createStaging(target), "target-exists", { file: work, message: /isn't this tool's/ });
  assert.deepEqual(listing(root), before);
});

test("a file in the folder's place is refused and left alone", async (context) => {
  const { target, work } = place(context);
  fileAt(work);
  await refusal(() => createStaging(target), "target-exists", { file: work });
  assert.equal(readFileSync(work, "utf8"), "old");
});

test("a link in the folder's place that leads nowhere is not written through", async (context) => {
  const { root, target, work } = place(context);
  symlinkSync(join(root, "elsewhere"), work);
  await refusal(() => createStaging(target), "target-exists", { file: work, message: /isn't this tool's/ });
  assert.equal(existsSync(join(root, "elsewhere")), false);
});

test("two runs of one process never share a folder", async (context) => {
  const { target, work } = place(context);
  const first = await createStaging(target);
  fill(first);
  await refusal(() => createStaging(target), "target-busy", {
    file: join(work, LOCK),
    message: /Another run/,
  });
  await first.commit();
  assert.deepEqual(readdirSync(target).sort(), WHOLE);
  const second = await createStaging(target);
  second.discard();
  (await createStaging(target)).discard();
});

test("the folder of a run that goes on in another process is left alone", async (context) => {
  const { target, work } = place(context);
  const other = spawn(process.execPath, ["--eval", "process.stdin.resume()"], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  try {
    const own = await createStaging(target);
    const text = readFileSync(join(work, LOCK), "utf8");
    own.discard();
    const holder = { ...JSON.parse(text), pid: other.pid, id: "other", started: startOf(other.pid ?? 0) };
    fileAt(join(work, JOURNAL), "{}");
    fileAt(join(work, LOCK), JSON.stringify(holder));
    await refusal(() => createStaging(target), "target-busy", {
      file: join(work, LOCK),
      message: new RegExp(`process ${other.pid}`),
    });
    assert.deepEqual(readdirSync(work).sort(), [JOURNAL, LOCK]);
  } finally {
    const ended = once(other, "exit");
    other.stdin.end();
    await ended;
  }
  (await createStaging(target)).discard();
});

test("an old target stays as it was until the commit", async (context) => {
  const { root, target } = place(context);
  fileAt(join(target, "config.json"));
  fileAt(join(target, "stale", "model.safetensors.index.json"));
  const staging = await createStaging(target);
  fill(staging);
  assert.equal(readFileSync(join(target, "config.json"), "utf8"), "old");
  await staging.commit();
  assert.deepEqual(readdirSync(root), ["out"]);
  assert.deepEqual(readdirSync(target).sort(), WHOLE, "nothing of the old one is mixed in");
  assert.equal(readFileSync(join(target, "config.json"), "utf8"), "new");
});

test("an old target stays as it was for ever after a discard", async (context) => {
  const { root, target } = place(context);
  fileAt(join(target, "config.json"));
  const before = listing(root);
  const staging = await createStaging(target);
  fill(staging);
  staging.discard();
  assert.deepEqual(listing(root), before);
});

test("an empty folder in the target's place gives way", async (context) => {
  const { root, target } = place(context);
  mkdirSync(target);
  const staging = await createStaging(target);
  fill(staging);
  await staging.commit();
  assert.deepEqual(readdirSync(root), ["out"]);
  assert.deepEqual(readdirSync(target).sort(), WHOLE);
});

test("where publishing fails, the old target is back in its place", async (context) => {
  const { root, target, work } = place(context);
  fileAt(join(target, "config.json"));
  const staging = await createStaging(target);
  fill(staging);
  // A folder where the old target is to be put aside for a moment.
  fileAt(join(`${target}.replaced-${process.pid}`, "someone's"));
  await refusal(() => staging.commit(), "target-unwritable", { file: target });
  staging.discard();
  assert.equal(readFileSync(join(target, "config.json"), "utf8"), "old");
  assert.equal(existsSync(work), false);
  assert.deepEqual(readdirSync(root).sort(), ["out", `out.replaced-${process.pid}`]);
});

test("where the last rename fails, the old target is put back", async (context) => {
  const { root, target, work } = place(context);
  fileAt(join(target, "config.json"));
  const staging = await createStaging(target);
  fill(staging);
  const rename = fs.renameSync;
  context.after(() => {
    fs.renameSync = rename;
    syncBuiltinESMExports();
  });
  fs.renameSync = (from, to) => {
    if (from === work) throw Object.assign(new Error("the disk is gone"), { code: "EIO" });
    rename(from, to);
  };
  syncBuiltinESMExports();
  await refusal(() => staging.commit(), "target-unwritable", { file: target, message: /EIO/ });
  staging.discard();
  assert.deepEqual(readdirSync(root), ["out"]);
  assert.equal(readFileSync(join(target, "config.json"), "utf8"), "old");
});

test("a file is made of its final length at once, and only once", async (context) => {
  const { target } = place(context);
  const staging = await createStaging(target);
  const { path } = staging.createFile("a", 1_000_000, [{ offsetBytes: 0, bytes: Buffer.from("head") }]);
  assert.equal(statSync(path).size, 1_000_000);
  await refusal(() => staging.createFile("a", 4, []), "target-unwritable", { file: path });
  staging.writeFile("b", "");
  await refusal(() => staging.writeFile("b", ""), "target-unwritable", { file: join(staging.folder, "b") });
  staging.discard();
});

test("a file is copied byte for byte", async (context) => {
  const { root, target } = place(context);
  const bytes = Buffer.from([0, 255, 13, 10, 26]);
  writeFileSync(join(root, "tokenizer.model"), bytes);
  const staging = await createStaging(target);
  staging.writeAssets([{ fileName: "tokenizer.model", copyFrom: join(root, "tokenizer.model") }]);
  await staging.commit();
  assert.deepEqual(readFileSync(join(target, "tokenizer.model")), bytes);
});

test("no file stays open", { skip: process.platform !== "linux" && "needs /proc" }, async (context) => {
  const { target } = place(context);
  const count = () => readdirSync("/proc/self/fd").length;
  const before = count();
  for (const end of ["commit", "discard"] as const) {
    const staging = await createStaging(target);
    for (let i = 0; i < 20; i++) staging.createFile(`${i}`, 1, []);
    assert.ok(count() >= before + 20);
    await staging[end]();
    assert.equal(count(), before);
  }
});
