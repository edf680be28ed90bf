/** Small files: regular, within their cap, read whole, and never waited for. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openSmallFile, readAssetText, readSmallText } from "../../src/files/small-file.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const skip = process.platform === "win32" && "needs mkfifo, /dev and /proc";

test("a file of the most bytes is read whole, one more is too many, none is missing", (context) => {
  const path = join(temporaryFolder(context), "a");
  assert.equal(openSmallFile(path, 10).kind, "missing");
  for (const length of [0, 1, 9, 10]) {
    writeFileSync(path, "x".repeat(length));
    const file = openSmallFile(path, 10);
    assert.equal(file.kind === "bytes" ? file.bytes.toString() : file.kind, "x".repeat(length));
  }
  writeFileSync(path, "x".repeat(11));
  assert.equal(openSmallFile(path, 10).kind, "too-large");
  assert.equal(openSmallFile(join(path, "below"), 10).kind, "missing");
});

test("a file that says it is empty, as those of /proc do, is read within the cap", { skip }, () => {
  if (process.platform !== "linux") return;
  const file = openSmallFile("/proc/self/status", 100_000);
  assert.ok(file.kind === "bytes" && file.bytes.length > 100);
  assert.equal(openSmallFile("/proc/self/status", 10).kind, "too-large");
});

for (const what of ["a pipe", "a device", "a folder", "a link to a device"])
  test(`${what} is no file, whoever reads it`, { skip }, async (context) => {
    const path = join(temporaryFolder(context), "config.json");
    if (what === "a pipe") execFileSync("mkfifo", [path]);
    else if (what === "a folder") mkdirSync(path);
    else symlinkSync("/dev/zero", path);
    assert.equal(openSmallFile(what === "a device" ? "/dev/zero" : path, 10).kind, "not-regular");
    await refusal(() => readAssetText(path), "source-unreadable", {
      file: path,
      message: /not a regular file/,
    });
    await refusal(() => readSmallText(path, 10, () => assert.fail("it has no size")), "source-unreadable");
  });
