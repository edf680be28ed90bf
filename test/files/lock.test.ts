/** Locks: one run at a time, a dead one's is taken over, and a living one's never. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import fs, { existsSync, readFileSync, renameSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { mock, type TestContext, test } from "node:test";
import { startOf, takeLock, waitForLock } from "../../src/files/lock.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const NAME = "lock";
const SILENT_MS = 200;

interface Holder {
  readonly pid: number;
  readonly place: string;
  readonly id: string;
}

function place(context: TestContext) {
  const folder = temporaryFolder(context);
  const path = join(folder, NAME);
  const take = () => takeLock(folder, NAME, { silentMs: SILENT_MS });
  return { folder, path, take, holder: () => JSON.parse(readFileSync(path, "utf8")) as Holder };
}

/** What a lock of this machine says, with some of it otherwise. */
async function textOf(context: TestContext, more: object): Promise<string> {
  const { take, path } = place(context);
  const lock = await take();
  const text = JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), id: "another", ...more });
  lock.release();
  return text;
}

/** A process that is there, and isn't this one. */
const ALIVE = { pid: process.ppid, started: startOf(process.ppid) };
/** Its number was given out again. */
const DEAD = { pid: process.ppid, started: "another time" };

for (const [when, interferes] of [
  ["before this one renames it", 1],
  ["after that", 2],
] as const) {
  test(`another run takes over ${when}: it keeps the lock`, async (context) => {
    const { path, take } = place(context);
    const alive = await textOf(context, { ...ALIVE, id: "faster" });
    writeFileSync(path, await textOf(context, DEAD));
    const rename = renameSync;
    const mocked = mock.method(fs, "renameSync", (from: string, to: string) => {
      if (interferes === 1) {
        rename(path, `${path}.other`);
        writeFileSync(path, alive);
      }
      rename(from, to);
      if (interferes === 2) writeFileSync(path, alive);
    });
    syncBuiltinESMExports();
    try {
      await refusal(take, "target-busy", { message: new RegExp(`process ${process.ppid} `) });
    } finally {
      mocked.mock.restore();
      syncBuiltinESMExports();
    }
    assert.equal(readFileSync(path, "utf8"), alive);
  });
}

for (const [what, more] of [
  ["a run that is dead", DEAD],
  ["a number that no process has", { pid: 2 ** 40, started: null }],
  ["a run on another machine that is silent", { ...ALIVE, place: "another" }],
  ["a run in another container that is silent", { ...ALIVE, place: "the same boot, pid:[1]" }],
  ["this very process, before it was started anew in a container", { pid: process.pid }],
] as const) {
  test(`the lock of ${what} is taken over`, async (context) => {
    const { path, take, holder } = place(context);
    writeFileSync(path, await textOf(context, more));
    const lock = await take();
    assert.equal(holder().pid, process.pid);
    assert.notEqual(holder().id, "another");
    lock.release();
    assert.equal(existsSync(path), false);
  });
}

for (const text of ["\u0000{]", "", '{"pid":1}', "x".repeat(10_000_000)])
  test(`so is one that says ${JSON.stringify(text.slice(0, 10))}, once nobody has touched it for long`, async (context) => {
    const { path, take } = place(context);
    writeFileSync(path, text);
    (await take()).release();
  });

for (const more of [ALIVE, { ...ALIVE, place: "another" }])
  test(`a lock that is touched is a living run's, at ${JSON.stringify(more)}`, async (context) => {
    const { path, take } = place(context);
    writeFileSync(path, await textOf(context, more));
    let touches = 0;
    const timer = setInterval(() => utimesSync(path, ++touches, touches), 20);
    context.after(() => clearInterval(timer));
    await refusal(take, "target-busy", { file: path, message: /process \d+ on / });
  });

test("two runs of one process exclude each other, also where one waits", async (context) => {
  const { folder, take } = place(context);
  const first = await take();
  await refusal(take, "target-busy");
  const stop = new AbortController();
  const waiting = waitForLock(folder, NAME, { signal: stop.signal, onWait: () => stop.abort() });
  await refusal(() => waiting, "interrupted");
  first.release();
  (await take()).release();
});

test("a run whose lock was taken over finds out, and leaves the other's alone", async (context) => {
  const { path, take } = place(context);
  const lock = await take();
  lock.assertHeld();
  const others = await textOf(context, ALIVE);
  writeFileSync(path, others);
  await refusal(lock.assertHeld, "target-unwritable", { file: path, got: /^process \d+ on / });
  lock.release();
  assert.equal(readFileSync(path, "utf8"), others);
});

test("a lock goes with its folder", async (context) => {
  const { folder, take } = place(context);
  const lock = await take();
  const moved = `${folder}-moved`;
  renameSync(folder, moved);
  context.after(() => renameSync(moved, folder));
  lock.moveTo(moved);
  lock.assertHeld();
  lock.release();
  assert.equal(existsSync(join(moved, NAME)), false);
});

test("a link in a lock's place is followed by nobody", async (context) => {
  const { folder, path, take } = place(context);
  const victim = join(folder, "victim");
  writeFileSync(victim, "the user's");
  symlinkSync(victim, path);
  (await take()).release();
  assert.equal(readFileSync(victim, "utf8"), "the user's");
});

test("a pipe in a lock's place holds nobody up", { skip: process.platform === "win32" }, async (context) => {
  const { path, take } = place(context);
  const made: ChildProcess = spawn("mkfifo", [path]);
  await new Promise((resolve) => made.on("exit", resolve));
  (await take()).release();
});

test("signals that cut its steps short hold nobody up", async (context) => {
  const { take } = place(context);
  for (const operation of ["openSync", "writeSync", "statSync", "readSync"] as const) {
    const real = fs[operation] as (...args: unknown[]) => unknown;
    const calls = mock.method(fs, operation, real);
    calls.mock.mockImplementationOnce(() => {
      throw Object.assign(new Error(`EINTR: interrupted system call`), { code: "EINTR" });
    }, 0);
    syncBuiltinESMExports();
    try {
      const lock = await take();
      // Finds it alive, by looking at it.
      await assert.rejects(take, { code: "target-busy" });
      lock.release();
    } finally {
      calls.mock.restore();
      syncBuiltinESMExports();
    }
  }
});

test("a lock that can't be written whole isn't left behind: nobody would wait for it", async (context) => {
  const folder = temporaryFolder(context);
  const mocked = mock.method(fs, "writeSync", () => {
    throw Object.assign(new Error("EIO: i/o error, write"), { code: "EIO" });
  });
  syncBuiltinESMExports();
  try {
    await assert.rejects(() => takeLock(folder, "lock"), { code: "EIO" });
  } finally {
    mocked.mock.restore();
    syncBuiltinESMExports();
  }
  (await takeLock(folder, "lock")).release();
});
