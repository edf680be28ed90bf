/** Runs whose outputs are closed, full or gone: a merge goes on, and only a lost result is an error. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

/** A merge of the example's size. */
function smallMerge(context: TestContext): { args: string[]; target: string } {
  const root = temporaryFolder(context);
  const pair = tinyPair();
  const base = writeModel(join(root, "base"), pair.base);
  const delta = writeModel(join(root, "delta"), pair.delta);
  const target = join(root, "target");
  return { args: ["--base", base, "--delta", delta, "--target", target], target };
}

/** Runs it with one of the outputs closed at once. */
async function withClosed(
  context: TestContext,
  closeOutput: (child: ChildProcess) => void,
  ...more: string[]
) {
  const { args, target } = smallMerge(context);
  return { target, result: await runCli([...args, ...more], { whileRunning: closeOutput }) };
}

test("a closed stdout is no error: the target is made", async (context) => {
  const { target, result } = await withClosed(context, (child) => child.stdout?.destroy(), "--json");
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stderr, "");
  assert.ok(readFileSync(join(target, "model.safetensors")).length > 0);
});

test("a closed stderr is no error: the target is made", async (context) => {
  const { target, result } = await withClosed(
    context,
    (child) => child.stderr?.destroy(),
    "--verbose",
    "--low-cpu-mem",
  );
  assert.equal(result.code, 0);
  assert.match(result.stdout, /21 added/);
  assert.ok(existsSync(target));
});

test("a closed stdout leaves the exit code of an error as it is", async () => {
  const args = ["--base", "/nowhere", "--delta", "/nowhere", "--target", "/nowhere/target", "--json"];
  const result = await runCli(args, { whileRunning: (child) => child.stdout?.destroy() });
  assert.equal(result.code, 3);
});

/** Words before the program's, so that a stream of it goes to a disk that is full. */
const onFullDisk = (stream: "1" | "2") => ["bash", "-c", `exec "$0" "$@" ${stream}>/dev/full`];

test("a log on a full disk is no error: the target is made", {
  skip: !existsSync("/dev/full"),
}, async (context) => {
  const { args, target } = smallMerge(context);
  const result = await runCli([...args, "--verbose"], { under: onFullDisk("2") });
  assert.equal(result.code, 0);
  assert.match(result.stdout, /21 added/);
  assert.ok(existsSync(target));
});

test("a result that can't be written: exit 6, and the target is made", {
  skip: !existsSync("/dev/full"),
}, async (context) => {
  const { args, target } = smallMerge(context);
  const result = await runCli([...args, "--json"], { under: onFullDisk("1") });
  assert.equal(result.code, 6);
  assert.match(
    result.stderr,
    /^error: Can't write the result \(ENOSPC\)\.\n {2}file: {5}stdout\n {2}what now: /m,
  );
  assert.doesNotMatch(result.stderr, /at .*\.js/);
  assert.ok(existsSync(target));
});

test("a folder that was removed under one's feet is said to be gone", async (context) => {
  const { args } = smallMerge(context);
  const gone = join(temporaryFolder(context), "gone");
  mkdirSync(gone);
  const result = await runCli([...args.slice(0, -1), "target"], {
    under: ["bash", "-c", 'rmdir "$PWD"; exec "$0" "$@"'],
    cwd: gone,
  });
  assert.equal(result.code, 3);
  assert.match(result.stderr, /^error: The folder you are in doesn't exist any more\.\n {2}what now: /);
});
