/** Two runs that meet the lock of a dead one. */
import assert from "node:assert/strict";
import fs, { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { hostname } from "node:os";
import { join } from "node:path";
import { mock, test } from "node:test";
import { startOf, takeLock } from "../../src/files/lock.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

/** A process that is there, and isn't this one. */
const ALIVE = JSON.stringify({ pid: process.ppid, host: hostname(), started: startOf(process.ppid) });
/** Its number was given out again. */
const DEAD = JSON.stringify({ pid: process.ppid, host: hostname(), started: "another time" });

for (const [when, interferes] of [
  ["before this one renames it", 1],
  ["after that", 2],
] as const) {
  test(`another run takes over ${when}: it keeps the lock`, async (context) => {
    const path = join(temporaryFolder(context), "lock");
    writeFileSync(path, DEAD);
    const rename = renameSync;
    const mocked = mock.method(fs, "renameSync", (from: string, to: string) => {
      if (interferes === 1) {
        rename(path, `${path}.other`);
        writeFileSync(path, ALIVE);
      }
      rename(from, to);
      if (interferes === 2) writeFileSync(path, ALIVE);
    });
    syncBuiltinESMExports();
    try {
      await refusal(() => takeLock(path), "target-exists", {
        message: new RegExp(`process ${process.ppid} `),
      });
    } finally {
      mocked.mock.restore();
      syncBuiltinESMExports();
    }
    assert.equal(readFileSync(path, "utf8"), ALIVE);
    assert.equal(existsSync(`${path}.${process.pid}`), false);
  });
}

for (const [what, text] of [
  ["a run that is dead", DEAD],
  ["garbage", "\u0000{]"],
  ["nothing", ""],
  ["a number that no process has", JSON.stringify({ pid: 2 ** 40, host: hostname(), started: null })],
] as const) {
  test(`the lock of ${what} is taken over`, (context) => {
    const path = join(temporaryFolder(context), "lock");
    writeFileSync(path, text);
    const lock = takeLock(path);
    assert.equal((JSON.parse(readFileSync(path, "utf8")) as { pid: number }).pid, process.pid);
    lock.release(path);
    assert.equal(existsSync(path), false);
  });
}
