/** Downloads by the command line that are ended from outside, and several of one model at once. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { RepositoryCache, sizeOfFile } from "../../src/hub/cache.js";
import { partialBytes } from "../../src/hub/partial-blob.js";
import { completeHubSettings } from "../../src/hub/settings.js";
import { type HubServer, sha256, startHub } from "../support/hub-server.js";
import { floats, safetensorsOf, temporaryFolder, writeModel } from "../support/model-folder.js";
import { seededNormals } from "../support/numbers.js";
import { type CliResult, runCli } from "../support/run-cli.js";

const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
const SHARD_ELEMENTS = 16_000_000;

/** Of each connection. */
const BYTES_PER_SECOND = 4e6;

/** What a killed run may lose of each file under way, whatever its size: what arrived since the last note. */
const CHUNK_BYTES = (completeHubSettings().transfer.noteMs / 1000) * BYTES_PER_SECOND;

interface Place {
  readonly hub: HubServer;
  /** Of the weights. */
  readonly byteLength: number;
  readonly fetch: (whileRunning?: (child: ChildProcess) => void) => Promise<CliResult>;
  /** Bytes of weights that were sent. */
  readonly sent: () => number;
  /** Bytes of weights that the cache knows it has. */
  readonly kept: () => number;
  /** The weights are there to the last bit, and nothing else. */
  readonly assertWhole: () => void;
}

/** A model of two shards, 64 MB, that come at 8 MB/s together. */
async function place(context: TestContext): Promise<Place> {
  const root = temporaryFolder(context);
  const weights = Object.fromEntries(
    SHARDS.map((name, i) => {
      const data = { dtype: "F16", shape: [SHARD_ELEMENTS], data_offsets: [0, 2 * SHARD_ELEMENTS] };
      return [name, safetensorsOf(JSON.stringify({ [name]: data }), noise(2 * SHARD_ELEMENTS, i + 1))];
    }),
  );
  const other = writeModel(join(root, "other"), [floats("other", "F16", [2], Float64Array.of(1, 2))]);
  const index = {
    metadata: { total_size: 4 * SHARD_ELEMENTS },
    weight_map: Object.fromEntries(SHARDS.map((n) => [n, n])),
  };
  const files = { ...weights, "model.safetensors.index.json": Buffer.from(JSON.stringify(index)) };
  const hub = await startHub({ "a/b": { files } }, context);
  hub.fault = ({ at }) =>
    at === "content" ? { kind: "throttle", bytesPerSecond: BYTES_PER_SECOND } : undefined;
  const env = { HF_ENDPOINT: hub.url, HF_HOME: join(root, "home"), HF_HUB_OFFLINE: undefined };
  const cache = new RepositoryCache(join(root, "home", "hub"), "a/b");
  return {
    hub,
    byteLength: Object.values(weights).reduce((sum, { length }) => sum + length, 0),
    fetch: (whileRunning = () => {}) => runCli(["compare", "a/b", other], { env, whileRunning }),
    sent: () => {
      const data = hub.contentRequests().filter(({ range }) => range !== null && range[1] > 1);
      return data.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
    },
    kept: () =>
      Object.values(weights).reduce((sum, bytes) => {
        const blob = cache.blobPath(sha256(bytes));
        return sum + (sizeOfFile(blob) ?? partialBytes(blob, bytes.length));
      }, 0),
    assertWhole() {
      for (const [name, bytes] of Object.entries(weights)) {
        const file = join(cache.snapshotFolder(hub.commitOf("a/b")), name);
        assert.ok(readFileSync(file).equals(bytes), name);
      }
      assert.equal(readdirSync(join(cache.folder, "blobs")).length, 3);
    },
  };
}

/** Bytes of which no piece is like another. */
function noise(byteLength: number, seed: number): Buffer {
  const words = new Uint32Array(byteLength / 4);
  for (let i = 0, state = seed; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[i] = state;
  }
  return Buffer.from(words.buffer);
}

/** Ends a process once `when` is true. */
const endWhen = (signal: NodeJS.Signals, when: () => boolean) => (child: ChildProcess) => {
  const timer = setInterval(() => {
    if (!when()) return;
    clearInterval(timer);
    child.kill(signal);
  }, 5);
  child.once("close", () => clearInterval(timer));
};

/** The run came to its end: it says that the two models differ. */
const ENDED = 7;

/** What two connections may hold between the server's count and the file. */
const IN_FLIGHT_BYTES = 4_000_000;

describe("a download", { concurrency: 3 }, () => {
  test("killed at 20 random points, it ends the same, and a run loses a chunk of each file at most", async (context) => {
    const run = await place(context);
    const normal = seededNormals(4);
    let lostBytes = 0;
    let kills = 0;
    while (kills < 20) {
      const [sentBefore, keptBefore] = [run.sent(), run.kept()];
      // Some die before their first byte, others after many megabytes.
      const goal = sentBefore + Math.abs(normal()) * 4_000_000;
      const { signal, stderr } = await run.fetch(endWhen("SIGKILL", () => run.sent() >= goal));
      if (signal === null) break;
      kills += 1;
      assert.equal(signal, "SIGKILL", stderr);
      const [sent, kept] = [run.sent() - sentBefore, run.kept() - keptBefore];
      assert.ok(kept >= 0, `${kept} bytes kept after kill ${kills}`);
      assert.ok(
        sent - kept <= 2 * CHUNK_BYTES + IN_FLIGHT_BYTES,
        `kill ${kills}: ${sent} sent, ${kept} kept`,
      );
      lostBytes += sent - kept;
    }
    assert.equal(kills, 20);
    run.hub.fault = () => undefined;
    const { code, stderr } = await run.fetch();
    assert.equal(code, ENDED, stderr);
    run.assertWhole();
    // What no run lost was sent once.
    assert.equal(run.sent(), run.byteLength + lostBytes);
  });

  test("interrupted, it keeps all that arrived, and says so", async (context) => {
    const run = await place(context);
    const stopped = await run.fetch(endWhen("SIGINT", () => run.sent() >= 10_000_000));
    assert.equal(stopped.code, 130, stopped.stderr);
    assert.match(stopped.stderr, /^error: Interrupted; what was downloaded is kept\.$/m);
    assert.ok(run.sent() - run.kept() <= IN_FLIGHT_BYTES, `${run.sent()} sent, ${run.kept()} kept`);
    const lostBytes = run.sent() - run.kept();
    run.hub.fault = () => undefined;
    const { code, stderr } = await run.fetch();
    assert.equal(code, ENDED, stderr);
    assert.match(stderr, /^64\.0 MB in all, of which [\d.]+ MB arrived in an earlier run\.$/m);
    run.assertWhole();
    assert.equal(run.sent(), run.byteLength + lostBytes);
  });

  test("two at once: each byte is sent once; where one is killed, the other takes over", async (context) => {
    const run = await place(context);
    const [one, two] = await Promise.all([run.fetch(), run.fetch()]);
    for (const { code, stderr } of [one, two]) assert.equal(code, ENDED, stderr);
    assert.match(one.stderr + two.stderr, /^waiting for another run that downloads a\/b\//m);
    run.assertWhole();
    assert.equal(run.sent(), run.byteLength);

    const again = await place(context);
    const killed = again.fetch(endWhen("SIGKILL", () => again.sent() >= 12_000_000));
    const other = await again.fetch();
    assert.equal((await killed).signal, "SIGKILL");
    assert.equal(other.code, ENDED, other.stderr);
    again.assertWhole();
    assert.ok(again.sent() <= again.byteLength + 2 * CHUNK_BYTES + IN_FLIGHT_BYTES, `${again.sent()} sent`);
  });
});
