/** `--stream` by the command line: every command that has it, memory, Ctrl-C. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { filesIn, tinyRepositories } from "../support/hub-run.js";
import { type HubServer, startHub } from "../support/hub-server.js";
import { safetensorsOf, temporaryFolder } from "../support/model-folder.js";
import { type CliResult, runCli } from "../support/run-cli.js";
import { assertNoWeightsIn, isData } from "../support/stream-run.js";

const BASE = "huggyllama/llama-7b";
const DELTA = "lmsys/vicuna-7b-delta-v1.1";

interface Place {
  readonly root: string;
  readonly hub: HubServer;
  readonly home: string;
  run(...args: string[]): Promise<CliResult>;
}

async function place(context: TestContext): Promise<Place> {
  const root = temporaryFolder(context);
  const { base, delta } = tinyRepositories(root);
  const hub = await startHub({ [BASE]: base, [DELTA]: delta }, context);
  const home = join(root, "home");
  const env = { HF_ENDPOINT: hub.url, HF_HOME: home, HF_HUB_OFFLINE: undefined };
  return { root, hub, home, run: (...args) => runCli([...args, "--stream"], { cwd: root, env }) };
}

const weightsOf = (folder: string) => readFileSync(join(folder, "model.safetensors"));

describe("--stream", { concurrency: 2 }, () => {
  test("merges, says so and leaves no weights in the cache", async (context) => {
    const { root, home, run } = await place(context);
    const local = ["--base", "local-base", "--delta", "local-delta", "--target", "local"];
    assert.equal((await runCli(local, { cwd: root })).code, 0);
    const { code, stdout, stderr } = await run("--base", BASE, "--delta", DELTA, "--target", "out");
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^streaming lmsys\/vicuna-7b-delta-v1\.1@main \(commit \w{12}\): [\d.]+ kB in 2 files, not stored on this disk\.$/m,
    );
    assert.match(stdout, /^ {2}streamed {2}[\d.]+ kB from the Hub$/m);
    assert.deepEqual(weightsOf(join(root, "out")), weightsOf(join(root, "local")));
    assert.deepEqual(Object.keys(filesIn(join(root, "out"))), Object.keys(filesIn(join(root, "local"))));
    assertNoWeightsIn(home);
    const snapshots = ["hub", "models--lmsys--vicuna-7b-delta-v1.1", "blobs"];
    const stored = Object.values(filesIn(join(home, ...snapshots)));
    assert.ok(stored.every((bytes) => !bytes.subarray(0, 2).equals(Buffer.from("PK"))));
  });

  test("a merge that is done already downloads nothing, with or without --stream", async (context) => {
    const { root, hub, home, run } = await place(context);
    const words = ["--base", BASE, "--delta", DELTA, "--target", "out"];
    assert.equal((await run(...words)).code, 0);
    const env = { HF_ENDPOINT: hub.url, HF_HOME: home, HF_HUB_OFFLINE: undefined };
    const again = await runCli([...words, "--json"], { cwd: root, env });
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /"bytesStreamed": [1-9]/);
    assert.match(again.stdout, /"alreadyMade": true/);
    assertNoWeightsIn(home);
    const offline = await runCli([...words, "--offline"], { cwd: root, env });
    assert.equal(offline.code, 6, "what can't be compared is refused");
    assert.match(offline.stderr, /^error: The folder to make exists/);
  });

  test("plans, inspects, compares and makes a delta", async (context) => {
    const { root, home, run } = await place(context);
    const dry = await run("--base", BASE, "--delta", DELTA, "--target", "out", "--dry-run", "--json");
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, /"verdict": "exact"/);
    assert.equal(existsSync(join(root, "out")), false);
    const inspected = await run("inspect", DELTA, "--base", BASE, "--json");
    assert.equal(inspected.code, 0, inspected.stderr);
    assert.match(inspected.stdout, /"comparedAs": "delta"/);
    assert.equal((await run("compare", BASE, "local-base")).code, 0);
    const other = await run("compare", DELTA, "local-base", "--json");
    assert.equal(other.code, 7, other.stderr);
    assert.match(other.stdout, /looks like a delta/);
    assert.equal((await run("compare", BASE, BASE)).code, 2);
    const made = await run("make", "--base", BASE, "--target", DELTA, "--delta", "difference", "--json");
    assert.equal(made.code, 0, made.stderr);
    assert.ok((JSON.parse(made.stdout) as { bytesStreamed: number }).bytesStreamed > 0);
    assertNoWeightsIn(home);
  });

  test("has no use for checksums of files it doesn't store", async (context) => {
    const { run } = await place(context);
    const { code, stderr } = await run("--base", BASE, "--delta", DELTA, "--target", "out", "--verify-delta");
    assert.equal(code, 2);
    assert.match(stderr, /--verify-delta needs the delta's files/);
  });
});

/** Two repositories with one file of zeros, which is as good as any to a network. */
async function largePlace(context: TestContext, megabytes: number): Promise<Place> {
  const root = temporaryFolder(context);
  const rows = megabytes * 128;
  const header = { weight: { dtype: "F16", shape: [rows, 4096], data_offsets: [0, rows * 8192] } };
  const files = { "model.safetensors": safetensorsOf(JSON.stringify(header), Buffer.alloc(rows * 8192)) };
  const hub = await startHub({ [BASE]: { files }, [DELTA]: { files } }, context);
  const home = join(root, "home");
  const env = { HF_ENDPOINT: hub.url, HF_HOME: home, HF_HUB_OFFLINE: undefined };
  return { root, hub, home, run: (...args) => runCli([...args, "--stream"], { cwd: root, env }) };
}

test("a model many times larger than the window takes no more memory", async (context) => {
  const megabytes = 128;
  const { run, hub, home } = await largePlace(context, megabytes);
  const { code, stdout, stderr } = await run(
    ...["--base", BASE, "--delta", DELTA, "--target", "out"],
    ...["--skip-base-check", "--force", "--no-sync", "--json"],
  );
  assert.equal(code, 0, stderr);
  const { peakMemoryBytes, bytesStreamed } = JSON.parse(stdout) as Record<string, number>;
  assert.ok((peakMemoryBytes ?? 0) < 300e6, `${peakMemoryBytes} bytes of memory`);
  const sent = hub.requests.filter(isData).reduce((sum, { sentBytes }) => sum + sentBytes, 0);
  const needed = 2 * megabytes * 2 ** 20;
  assert.ok(sent >= needed && sent <= needed + 2 * 66_000, `${sent} bytes for ${needed}`);
  assert.ok((bytesStreamed ?? 0) >= needed);
  assertNoWeightsIn(home);
});

test("Ctrl-C in the middle leaves nothing, though the Hub is slow", async (context) => {
  const { root, hub } = await largePlace(context, 64);
  hub.fault = (request) => (isData(request) ? { kind: "throttle", bytesPerSecond: 500_000 } : undefined);
  const env = { HF_ENDPOINT: hub.url, HF_HOME: join(root, "home"), HF_HUB_OFFLINE: undefined };
  const args = ["--base", BASE, "--delta", DELTA, "--target", "out", "--skip-base-check", "--stream"];
  const sent = () => hub.requests.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
  const { code, stderr } = await runCli(args, {
    cwd: root,
    env,
    whileRunning: (child) => {
      const timer = setInterval(() => {
        if (sent() < 2_000_000) return;
        clearInterval(timer);
        child.kill("SIGINT");
      }, 5);
      timer.unref();
    },
  });
  assert.equal(code, 130, stderr);
  assert.match(stderr, /^error: Interrupted/m);
  assert.equal(existsSync(join(root, "out.incomplete")), false);
});
