/**
 * Signals in the middle of a merge and of a comparison, and what a killed run leaves. The model is sparse: a quarter of
 * a gigabyte a side that takes a second to add with one thread, and no room on the disk.
 */
import assert from "node:assert/strict";
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
import { INTERRUPT_AT, INTERRUPT_IN } from "../support/interrupting-reads.js";
import { safetensorsOf, temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const INTERRUPTING_READS = new URL("../support/interrupting-reads.js", import.meta.url).href;

const ELEMENTS = 128 * 1024 * 1024;

const SMALL_ELEMENTS = 1024 * 1024;

/** A model of two tensors of zeros, a small and a large one, that takes no room. */
function writeSparse(folder: string, dtype = "F16"): void {
  mkdirSync(folder);
  const [small, end] = [2 * SMALL_ELEMENTS, 2 * (SMALL_ELEMENTS + ELEMENTS)];
  const header = {
    a: { dtype, shape: [SMALL_ELEMENTS], data_offsets: [0, small] },
    b: { dtype, shape: [ELEMENTS], data_offsets: [small, end] },
  };
  const head = safetensorsOf(JSON.stringify(header), new Uint8Array());
  const fd = openSync(join(folder, "model.safetensors"), "w");
  writeSync(fd, head);
  ftruncateSync(fd, head.length + end);
  closeSync(fd);
}

function onceTrue(condition: () => boolean, callback: () => void): void {
  const timer = setInterval(() => {
    if (!condition()) return;
    clearInterval(timer);
    callback();
  }, 5);
  timer.unref();
}

/** Calls back once the staged weights hold data, so in the middle of the merge. */
function onceUnderWay(folder: string, callback: () => void): void {
  const file = join(folder, "target.incomplete", "model.safetensors");
  onceTrue(() => existsSync(file) && statSync(file).blocks * 512 >= 4e6, callback);
}

/** Calls back once a shard is finished and remembered. */
function onceAShardIsDone(folder: string, callback: () => void): void {
  const journal = join(folder, "target.incomplete", ".vicuna-apply-delta");
  onceTrue(() => existsSync(journal) && readFileSync(journal, "utf8").includes('"shard"'), callback);
}

function largeMerge(context: TestContext): { root: string; args: string[] } {
  const root = temporaryFolder(context);
  writeSparse(join(root, "base"));
  writeSparse(join(root, "delta"));
  const options = ["--base", join(root, "base"), "--delta", join(root, "delta")];
  return {
    root,
    // Models of zeros alone are merged by force.
    args: [
      ...options,
      "--target",
      join(root, "target"),
      "--threads",
      "1",
      "--kernel",
      "reference",
      "--force",
    ],
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
    assert.match(result.stderr, /^error: Interrupted; the model is not complete\.\n {2}what now: /m);
    const { error } = JSON.parse(result.stdout) as { error: { code: string } };
    assert.equal(error.code, "interrupted");
    assert.deepEqual(readdirSync(root).sort(), ["base", "delta"]);
  });
}

for (const [signal, exit] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`${signal} in the middle of a comparison: exit ${exit}`, async (context) => {
    const root = temporaryFolder(context);
    writeSparse(join(root, "a"));
    // Of another dtype, so that every element is looked at.
    writeSparse(join(root, "b"), "BF16");
    const args = ["compare", join(root, "a"), join(root, "b"), "--threads", "1", "--json", "--verbose"];
    const result = await runCli(args, {
      // What was opened is said just before the comparison begins.
      whileRunning: (child) => child.stderr?.once("data", () => child.kill(signal)),
    });
    assert.deepEqual([result.signal, result.code], [null, exit], result.stderr);
    assert.match(result.stderr, /^error: Interrupted; the comparison is not complete\.$/m);
    assert.equal((JSON.parse(result.stdout) as { error: { code: string } }).error.code, "interrupted");
  });
}

/** What a command reads before it starts threads: headers, samples. */
const READERS: Readonly<Record<string, (sides: { base: string; delta: string; out: string }) => string[]>> = {
  apply: ({ base, delta, out }) => ["--base", base, "--delta", delta, "--target", out],
  "apply --dry-run": ({ base, delta, out }) => [
    "--base",
    base,
    "--delta",
    delta,
    "--target",
    out,
    "--dry-run",
  ],
  make: ({ base, delta, out }) => ["make", "--base", base, "--target", delta, "--delta", out],
  inspect: ({ base, delta }) => ["inspect", delta, "--base", base],
  compare: ({ base, delta }) => ["compare", base, delta],
  verify: ({ base, delta }) => ["verify", delta, "--base", base, "--delta", delta],
};

for (const [command, argsFor] of Object.entries(READERS)) {
  test(`SIGINT while headers and samples are read is seen within a few reads: ${command}`, async (context) => {
    const root = temporaryFolder(context);
    const pair = tinyPair();
    const base = writeModel(join(root, "base"), pair.base, { format: "torch", shards: 3 });
    const delta = writeModel(join(root, "delta"), pair.delta, { format: "torch", shards: 3 });
    const args = argsFor({ base, delta, out: join(root, "out") });
    // From the first header on: in the headers of either side, in the samples.
    for (const at of [1, 8, 40, 80]) {
      const { code, stderr } = await runCli(args, {
        nodeOptions: ["--import", INTERRUPTING_READS],
        env: { [INTERRUPT_AT]: `${at}`, [INTERRUPT_IN]: root },
      });
      const more = Number(/^reads after the signal: (-?\d+)$/m.exec(stderr)?.[1]);
      if (more < 0) break;
      assert.equal(code, 130, `${at}: ${stderr}`);
      assert.match(stderr, /^error: Interrupted; /m);
      // Small files beside the weights are read without a pause between them.
      assert.ok(more <= 16, `${more} reads after the signal at ${at}`);
    }
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
  assert.equal(next.stderr.includes("interrupted run"), false, "no shard was finished");
  assert.ok(existsSync(join(root, "target", "model.safetensors")));
  assert.ok(!existsSync(join(root, "target.incomplete")));
});

for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
  test(`${signal} with one of two shards done: the next run does the other one alone`, async (context) => {
    const { root, args } = largeMerge(context);
    const sharded = [...args, "--max-shard-size", "269MB", "--json"];
    const stopped = await runCli(sharded, {
      whileRunning: (child) => onceAShardIsDone(root, () => child.kill(signal)),
    });
    if (signal !== "SIGKILL")
      assert.match(stopped.stderr, /what now: .*goes on from here, with 1 of 2 shards done/);
    const work = join(root, "target.incomplete");
    const first = "model-00001-of-00002.safetensors";
    const before = statSync(join(work, first));

    const next = await runCli(sharded);
    assert.equal(next.code, 0, next.stderr);
    assert.match(next.stderr, /^going on from an interrupted run: 1 of 2 shards kept\.$/m);
    assert.deepEqual((JSON.parse(next.stdout) as { keptShards: string[] }).keptShards, [first]);
    const after = statSync(join(root, "target", first));
    assert.deepEqual([after.ino, after.mtimeMs], [before.ino, before.mtimeMs]);
    assert.deepEqual(readdirSync(root).sort(), ["base", "delta", "target"]);
    assert.equal(readdirSync(join(root, "target")).filter((name) => name.startsWith(".")).length, 0);
  });
}

for (const [what, more, note] of [
  [
    "another option",
    ["--max-shard-size", "269MB", "--dtype", "bfloat16"],
    /^starting over: an interrupted run had finished 1 shard, but these changed since: options\.$/m,
  ],
  [
    "--restart",
    ["--max-shard-size", "269MB", "--restart"],
    /^starting over: .* 1 shard, but you asked to start over\.$/m,
  ],
] as const) {
  test(`an interrupted run is not gone on with: ${what}`, async (context) => {
    const { root, args } = largeMerge(context);
    await runCli([...args, "--max-shard-size", "269MB"], {
      whileRunning: (child) => onceAShardIsDone(root, () => child.kill("SIGKILL")),
    });
    const next = await runCli([...args, ...more, "--json"]);
    assert.equal(next.code, 0, next.stderr);
    assert.match(next.stderr, note);
    assert.deepEqual((JSON.parse(next.stdout) as { keptShards: string[] }).keptShards, []);
  });
}

test("a second run on the same target is refused while the first works, and the first ends well", async (context) => {
  const { root, args } = largeMerge(context);
  let second: ReturnType<typeof runCli> | undefined;
  const first = await runCli(args, {
    // Held while the second runs: otherwise the two would race.
    whileRunning: (child) =>
      onceUnderWay(root, () => {
        child.kill("SIGSTOP");
        second = runCli(args).finally(() => child.kill("SIGCONT"));
      }),
  });
  const refused = await second;
  assert.equal(refused?.code, 75);
  assert.match(refused?.stderr ?? "", /Another run is making this folder \(process \d+ on /);
  assert.equal(first.code, 0, first.stderr);
});
