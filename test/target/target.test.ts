/** Where a target may be: never in, around or at anything that is read, however the paths are spelled. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs, { mkdirSync, readdirSync, realpathSync, statfsSync, symlinkSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { dirname, join, relative } from "node:path";
import { mock, type TestContext, test } from "node:test";
import { stagingPathOf } from "../../src/target/describe.js";
import { checkRoom, type Room } from "../../src/target/room.js";
import { checkTarget } from "../../src/target/target.js";
import { listing, temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

interface Place {
  readonly root: string;
  /** A folder with one weights file in it. */
  readonly base: string;
  readonly weights: string;
}

function place(context: TestContext): Place {
  const root = realpathSync(temporaryFolder(context));
  const base = join(root, "models", "base");
  mkdirSync(base, { recursive: true });
  const weights = join(base, "model.safetensors");
  writeFileSync(weights, "weights");
  return { root, base, weights };
}

const check = (target: string, sources: string[], overwrite = false) =>
  checkTarget(target, { sources, overwrite });

test("a target that isn't there, whatever of its path is there", (context) => {
  const { root, base, weights } = place(context);
  for (const target of ["out", "models/out", "new/deep/out", "models/base2", "models/bas"]) {
    assert.equal(check(join(root, target), [base, weights]), join(root, target));
  }
  assert.deepEqual(readdirSync(root), ["models"], "nothing is created");
});

test("a relative path, one with dots, one that ends in a slash", (context) => {
  const { root, base } = place(context);
  assert.equal(check(relative(process.cwd(), join(root, "out")), [base]), join(root, "out"));
  assert.equal(check(`${root}/models/../out/`, [base]), join(root, "out"));
});

test("names that only look as if they led out of a folder or into one", async (context) => {
  const { root, base } = place(context);
  for (const name of [
    "models/..base",
    "models/base.incomplete2",
    "a\\b",
    "models/a\\b",
    "..out",
    "models/base ",
  ]) {
    assert.equal(check(join(root, name), [base]), join(root, name));
  }
  for (const name of ["..inside", "in\\side", "..\\inside"]) {
    await refusal(() => check(join(base, name), [base]), "target-overlaps-source");
  }
});

test("an empty folder is a target", (context) => {
  const { root, base } = place(context);
  mkdirSync(join(root, "out"));
  assert.equal(check(join(root, "out"), [base]), join(root, "out"));
});

const OVERLAPS: [title: string, target: (place: Place) => string][] = [
  ["a source's folder", ({ base }) => base],
  ["a source's folder, spelled otherwise", ({ base }) => `${base}/../base/./`],
  ["inside a source", ({ base }) => join(base, "out")],
  ["deep inside a source", ({ base }) => join(base, "a", "b", "c")],
  ["around a source", ({ root }) => join(root, "models")],
  ["far around a source", ({ root }) => root],
  ["the root of all", () => "/"],
  ["a weights file", ({ weights }) => weights],
  ["below a link to a source", ({ root, base }) => join(linked(root, base), "out")],
  ["a link to a source", ({ root, base }) => linked(root, base)],
  ["a link to the folder around a source", ({ root, base }) => linked(root, dirname(base))],
  ["a link to a link to a source", ({ root, base }) => linked(root, linked(root, base, "a"), "b")],
];

function linked(folder: string, to: string, name = "link"): string {
  symlinkSync(to, join(folder, name));
  return join(folder, name);
}

for (const [title, targetOf] of OVERLAPS) {
  test(`refused, even to overwrite: ${title}`, async (context) => {
    const at = place(context);
    const target = targetOf(at);
    const before = listing(at.root);
    for (const overwrite of [false, true]) {
      await refusal(() => check(target, [at.base, at.weights], overwrite), "target-overlaps-source", {
        got: new RegExp(`^${target.replace(/[.\\]/g, "\\$&")} and `),
      });
    }
    assert.deepEqual(listing(at.root), before);
  });
}

test("a source that is a link to the target's place", async (context) => {
  const { root, base } = place(context);
  const link = linked(root, base);
  await refusal(() => check(base, [link], true), "target-overlaps-source");
  await refusal(() => check(join(base, "out"), [link], true), "target-overlaps-source");
});

test("a shard that is a link to elsewhere, and the target is that place", async (context) => {
  const { root, base } = place(context);
  const elsewhere = join(root, "disk2", "shards");
  mkdirSync(elsewhere, { recursive: true });
  writeFileSync(join(elsewhere, "real.safetensors"), "");
  symlinkSync(join(elsewhere, "real.safetensors"), join(base, "shard.safetensors"));
  const sources = [base, join(base, "shard.safetensors")];
  await refusal(() => check(elsewhere, sources, true), "target-overlaps-source", {
    got: /real\.safetensors$/,
  });
  await refusal(() => check(dirname(elsewhere), sources, true), "target-overlaps-source");
  assert.equal(check(join(elsewhere, "out"), sources), join(elsewhere, "out"));
});

test("a source in the folder the work would go on in", async (context) => {
  const { root } = place(context);
  const source = stagingPathOf(join(root, "out"));
  mkdirSync(join(source, "deep"), { recursive: true });
  await refusal(() => check(join(root, "out"), [source]), "target-overlaps-source");
  await refusal(() => check(join(root, "out"), [join(source, "deep")]), "target-overlaps-source");
});

test("a folder that isn't empty is a target only to overwrite", async (context) => {
  const { root, base } = place(context);
  const target = join(root, "out");
  mkdirSync(target);
  writeFileSync(join(target, "notes.txt"), "mine");
  await refusal(() => check(target, [base]), "target-exists", { file: target, hint: /--overwrite/ });
  assert.equal(check(target, [base], true), target);
  assert.equal(check(linked(root, target), [base], true), target, "a link to it is followed");
});

test("a file is never a target", async (context) => {
  const { root, base } = place(context);
  writeFileSync(join(root, "out"), "mine");
  for (const overwrite of [false, true]) {
    await refusal(() => check(join(root, "out"), [base], overwrite), "target-exists", {
      file: join(root, "out"),
    });
  }
  await refusal(() => check(join(root, "out", "deeper"), [base]), "target-unwritable", { hint: /is a file/ });
});

test("a link that leads nowhere, as the target or on the way to it", async (context) => {
  const { root, base } = place(context);
  const link = linked(root, "nowhere");
  await refusal(() => check(link, [base], true), "target-exists", { file: link, message: /leads nowhere/ });
  await refusal(() => check(join(link, "a", "b"), [base], true), "target-exists", { file: link });
});

test("a link that points at itself", async (context) => {
  const { root, base } = place(context);
  const loop = linked(root, "loop", "loop");
  await refusal(() => check(loop, [base]), "target-unwritable", { file: loop, message: /ELOOP/ });
});

test("a name too long for the file system", async (context) => {
  const { root, base } = place(context);
  await refusal(() => check(join(root, "x".repeat(300)), [base]), "target-unwritable", { hint: /shorter/ });
});

const room = (more: Partial<Room>): Room => ({ bytes: 0, files: 1, largestFileBytes: 0, ...more });

test("free space is that of the nearest folder that is there", async (context) => {
  const { root } = place(context);
  const free = checkRoom(join(root, "new", "deep", "out"), room({ bytes: 1 }));
  assert.ok(free > 1);
  assert.ok(Number.isSafeInteger(free));
  const needed = Number.MAX_SAFE_INTEGER;
  await refusal(() => checkRoom(join(root, "new", "out"), room({ bytes: needed })), "no-space", {
    file: root,
    expected: `${needed} bytes needed`,
    got: /^\d+ bytes free$/,
  });
  assert.equal(readdirSync(root).includes("new"), false);
});

test("a file system that holds no files is refused as such", async (context) => {
  if (process.platform !== "linux") return context.skip("there is no /proc");
  const more = { message: /^\/proc reports a size of 0\.$/, hint: /a folder on a disk/ };
  await refusal(() => checkRoom("/proc/new/out", room({ bytes: 1 })), "target-unwritable", more);
});

test("more files than the disk can hold are refused", async (context) => {
  const { root } = place(context);
  const { files } = statfsSync(root);
  if (files === 0) return context.skip("this file system has no limit");
  await refusal(() => checkRoom(join(root, "out"), room({ files: files + 1 })), "no-space", {
    file: root,
    expected: `${files + 1} more files`,
  });
});

test("the folder you are in is no target: it would be gone", async (context) => {
  const { root, base } = place(context);
  const target = join(root, "out");
  mkdirSync(join(target, "deep"), { recursive: true });
  const before = process.cwd();
  context.after(() => process.chdir(before));
  for (const folder of [target, join(target, "deep")]) {
    process.chdir(folder);
    await refusal(() => check(target, [base], true), "target-unwritable", {
      file: target,
      message: /you are in/,
    });
  }
  assert.equal(check(join(target, "new"), [base]), join(target, "new"));
});

test("a mounted disk or volume is no target, a folder in it is", async (context) => {
  const { root, base } = place(context);
  const volume = join(root, "a volume");
  const onHost = join(root, "on-host");
  for (const folder of [volume, onHost]) mkdirSync(folder);
  const refused = (target: string) =>
    refusal(() => check(target, [base], true), "target-unwritable", {
      file: target,
      message: /mounted/,
      hint: new RegExp(`${join(target, "model")}$`),
    });
  if (process.platform === "linux") await refused("/proc");
  try {
    // Of the same file system, as containers do it.
    execFileSync("mount", ["--bind", onHost, volume], { stdio: "ignore" });
  } catch {
    return context.skip("mounting takes root");
  }
  try {
    await refused(volume);
    assert.equal(check(join(volume, "new"), [base]), join(volume, "new"));
  } finally {
    execFileSync("umount", [volume]);
  }
});

test("shards too large for FAT are refused before they are made", async (context) => {
  const { root } = place(context);
  const real = statfsSync(root);
  const mocked = mock.method(fs, "statfsSync", () => ({ ...real, type: 0x4d44 }));
  syncBuiltinESMExports();
  context.after(() => {
    mocked.mock.restore();
    syncBuiltinESMExports();
  });
  const largest = 2 ** 32 - 1;
  checkRoom(join(root, "out"), room({ largestFileBytes: largest }));
  await refusal(
    () => checkRoom(join(root, "out"), room({ largestFileBytes: largest + 1 })),
    "target-unwritable",
    {
      message: /FAT/,
      hint: /--max-shard-size 4GB/,
    },
  );
});
