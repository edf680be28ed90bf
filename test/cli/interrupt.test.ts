/**
 * Runs that don't end by themselves: signals in the middle of a merge, a killed run's leftovers, pipes that close.
 * The model is sparse: half a gigabyte a side that takes a second or more to add with one thread and no room on disk.
 */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { safetensorsOf, temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const ELEMENTS = 256 * 1024 * 1024;

/** A model of one tensor of zeros that takes no room. */
function writeSparse(folder: string): void {
  mkdirSync(folder);
  const entry = { dtype: "F16", shape: [ELEMENTS], data_offsets: [0, 2 * ELEMENTS] };
  const head = safetensorsOf(JSON.stringify({ weight: entry }), new Uint8Array());
  const fd = openSync(join(folder, "model.safetensors"), "w");
  writeSync(fd, head);
  ftruncateSync(fd, head.length + 2 * ELEMENTS);
  closeSync(fd);
}

/** Calls back once the staged weights hold data, so in the middle of the merge. */
function onceUnderWay(folder: string, callback: () => void): void {
  const file = join(folder, "target.incomplete", "model.safetensors");
  const timer = setInterval(() => {
    if (!existsSync(file) || statSync(file).blocks * 512 < 4e6) return;
    clearInterval(timer);
    callback();
  }, 5);
  timer.unref();
}

function largeMerge(context: TestContext): { root: string; args: string[] } {
  const root = temporaryFolder(context);
  writeSparse(join(root, "base"));
  writeSparse(join(root, "delta"));
  const options = ["--base", join(root, "base"), "--delta", join(root, "delta")];
  return {
    root,
    args: [...options, "--target", join(root, "target"), "--threads", "1", "--kernel", "reference"],
  };
}

for (const [signal, exit] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`${signal} in the middle: exit ${exit}, and nothing is left`, async (context) => {
    const { root, args } = largeMerge(context);
    const result = await runCli([...args, "--json"], {
      whileRunning: (child) => onceUnderWay(root, () => child.kill(signal)),
    });
    assert.equal(result.signal, null);
    assert.equal(result.code, exit, result.stderr);
    assert.match(result.stderr, /^error: Interrupted; the target was not made\.\n {2}what now: /m);
    const { error } = JSON.parse(result.stdout) as { error: { code: string } };
    assert.equal(error.code, "interrupted");
    assert.deepEqual(readdirSync(root).sort(), ["base", "delta"]);
  });
}

test("a killed run leaves its working folder, which the next run replaces", async (context) => {
  const { root, args } = largeMerge(context);
  const killed = await runCli(args, {
    whileRunning: (child) => onceUnderWay(root, () => child.kill("SIGKILL")),
  });
  assert.equal(killed.signal, "SIGKILL");
  assert.deepEqual(readdirSync(root).sort(), ["base", "delta", "target.incomplete"]);

  const pair = tinyPair();
  const base = writeModel(join(root, "small-base"), pair.base);
  const delta = writeModel(join(root, "small-delta"), pair.delta);
  const next = await runCli(["--base", base, "--delta", delta, "--target", join(root, "target")]);
  assert.equal(next.code, 0);
  assert.match(next.stderr, /^removed .*target\.incomplete, left by a run that was killed\.$/m);
  assert.ok(existsSync(join(root, "target", "model.safetensors")));
  assert.ok(!existsSync(join(root, "target.incomplete")));
});

/** Runs the example's size with one of the outputs closed at once. */
async function withClosed(
  context: TestContext,
  closeOutput: (child: ChildProcess) => void,
  ...more: string[]
) {
  const root = temporaryFolder(context);
  const pair = tinyPair();
  const base = writeModel(join(root, "base"), pair.base);
  const delta = writeModel(join(root, "delta"), pair.delta);
  const target = join(root, "target");
  const args = ["--base", base, "--delta", delta, "--target", target, ...more];
  return { target, result: await runCli(args, { whileRunning: closeOutput }) };
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
