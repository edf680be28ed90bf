/** Writing in places that others can write to: through no link, into no file with another name. */
import assert from "node:assert/strict";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { errnoOf } from "../../src/errors.js";
import { makeFolders, openOwnFile, replaceOwnFile, writeOwnFile } from "../../src/files/own-file.js";
import { recordFiles, startJournal } from "../../src/target/journal.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const MODES = ["empty", "append", "update"] as const;

for (const [what, plant, errno] of [
  ["a link", symlinkSync, "ELOOP"],
  ["a second name", linkSync, "EPERM"],
] as const)
  test(`${what} of another file in the place of ours leads no write there`, async (context) => {
    const folder = temporaryFolder(context);
    const [victim, path] = [join(folder, "victim"), join(folder, "ours")];
    writeFileSync(victim, "the user's");
    plant(victim, path);
    const is = (wanted: string) => (error: unknown) => errnoOf(error) === wanted;
    for (const mode of MODES) assert.throws(() => openOwnFile(path, mode), is(errno), mode);
    assert.throws(() => openOwnFile(path, "new"), is("EEXIST"));
    await refusal(() => startJournal(path, { fingerprint: {} }), "target-unwritable", { file: path });
    await refusal(() => recordFiles(path, ["a"]), "target-unwritable", { file: path });
    assert.equal(readFileSync(victim, "utf8"), "the user's");
    replaceOwnFile(path, "new");
    assert.equal(readFileSync(victim, "utf8"), "the user's");
    assert.equal(readFileSync(path, "utf8"), "new");
    assert.deepEqual(readdirSync(folder).sort(), ["ours", "victim"]);
  });

test("a file of our own is begun, gone on with and written anew", (context) => {
  const path = join(temporaryFolder(context), "ours");
  writeOwnFile(path, "new", "a");
  writeOwnFile(path, "append", "b", true);
  assert.equal(readFileSync(path, "utf8"), "ab");
  writeOwnFile(path, "empty", "c");
  assert.equal(readFileSync(path, "utf8"), "c");
});

test("folders are made with their parents, and none stays where one can't be made", (context) => {
  const root = temporaryFolder(context);
  assert.equal(makeFolders(join(root, "a", "b", "c")), join(root, "a"));
  assert.equal(makeFolders(join(root, "a", "b", "c")), null);
  assert.throws(() => makeFolders(join(root, "x", "y", "n".repeat(300))));
  writeFileSync(join(root, "file"), "");
  assert.throws(() => makeFolders(join(root, "file", "below")));
  mkdirSync(join(root, "there"));
  assert.deepEqual(readdirSync(root).sort(), ["a", "file", "there"]);
});

test("a folder below /proc can't be made, which takes no time to say", () => {
  if (!existsSync("/proc/self")) return;
  assert.throws(
    () => makeFolders("/proc/vicuna/hub"),
    (error) => errnoOf(error) !== undefined,
  );
});
