/** Merges that read weights while they are downloaded. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { applyDelta } from "../../src/apply/apply-delta.js";
import { silentReporter } from "../../src/progress.js";
import { JOURNAL } from "../../src/target/target.js";
import { filesIn } from "../support/hub-run.js";
import { type RecordedRequest, sha256 } from "../support/hub-server.js";
import { tinyPair, tinyShapes } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import {
  assertNoWeightsIn,
  assertSameTarget,
  BASE,
  DELTA,
  isData,
  type StreamRun,
  streamRun,
} from "../support/stream-run.js";

const download = (run: StreamRun) => ({ hub: { ...run.hubOptions, stream: false } });

const PAIR = tinyPair(1, tinyShapes(512, 192, 3));

/** A Hub with a pair in shards, its blobs as the cache should have them, and the target that they give. */
async function start(context: TestContext) {
  const shards = { format: "torch", shards: 3 } as const;
  const run = await streamRun(context, { ...PAIR, baseOptions: shards, deltaOptions: shards });
  const expected = join(run.root, "expected");
  await applyDelta({ ...run.local, target: expected, skipBaseCheck: true, maxShardBytes: 700_000 });
  const merge = (options: Parameters<StreamRun["stream"]>[1] = {}) =>
    run.stream("out", { maxShardBytes: 700_000, ...download(run), ...options });
  return { ...run, merge, target: join(run.root, "out"), expected };
}

/** A part of a download, and no header. */
const isLarge = (request: RecordedRequest) => {
  const [start, end] = request.range ?? [0, 0];
  return isData(request) && end - start > 100_000;
};

/** Every file of both repositories is in the cache, as it is on the Hub. */
function assertCached({ cacheFolder, hub }: StreamRun): void {
  for (const name of [BASE, DELTA]) {
    const folder = join(cacheFolder, `models--${name.replace("/", "--")}`, "snapshots", hub.commitOf(name));
    const { files = {} } = hub.repositories[name] ?? {};
    for (const [file, bytes] of Object.entries(filesIn(folder))) assert.ok(files[file]?.equals(bytes), file);
    const weights = Object.keys(files).filter((file) => file.endsWith(".bin"));
    for (const file of weights) assert.ok(existsSync(join(folder, file)), file);
    const ref = join(cacheFolder, `models--${name.replace("/", "--")}`, "refs", "main");
    assert.equal(readFileSync(ref, "utf8"), hub.commitOf(name));
  }
}

describe("a merge while its weights are downloaded", { concurrency: 2 }, () => {
  test("gives the same target, and the cache has all of it, fetched once", async (context) => {
    const run = await start(context);
    await run.merge();
    assertSameTarget(run.target, run.expected);
    assertCached(run);
    const bytes = run.weightBytes(BASE) + run.weightBytes(DELTA);
    assert.ok(run.sentBytes() < bytes + 12 * 70_000, `${run.sentBytes()} of ${bytes}`);
  });

  test("takes the files out of the snapshots of a cache without links", async (context) => {
    const run = await start(context);
    await run.merge({ hub: { ...run.hubOptions, stream: false, useLinks: false } });
    assertSameTarget(run.target, run.expected);
    assertCached(run);
    const configs = run.hub.requests.filter(({ url }) => url.includes("config.json"));
    assert.equal(new Set(configs.map(({ url }) => url)).size, configs.length);
  });

  test("writes the first shard before the last file arrives", async (context) => {
    const run = await start(context);
    const { files = {} } = run.hub.repositories[DELTA] ?? {};
    const last = sha256(files["pytorch_model-00003-of-00003.bin"] ?? assert.fail());
    const written = () => {
      const work = Object.entries(filesIn(join(run.root, "out.incomplete")));
      const first = work.find(([name]) => name.startsWith("model-00001"))?.[1];
      return first?.subarray(100_000).some((byte) => byte !== 0) ?? false;
    };
    let isWritten = false;
    run.hub.fault = (request) => {
      if (!isLarge(request) || !request.url.includes(last)) return undefined;
      isWritten ||= written();
      return isWritten ? undefined : { kind: "status", status: 503 };
    };
    await run.merge({ transfer: { attempts: 5000, longestDelayMs: 50 } });
    assert.equal(isWritten, true);
    assertSameTarget(run.target, run.expected);
  });

  for (const useLinks of [true, false])
    test(`goes on from the shards that are made where the last file fails, links ${useLinks}`, async (context) => {
      const run = await start(context);
      const merge = (transfer = {}) =>
        run.merge({ hub: { ...run.hubOptions, stream: false, useLinks, transfer } });
      const { files = {} } = run.hub.repositories[DELTA] ?? {};
      const last = sha256(files["pytorch_model-00003-of-00003.bin"] ?? assert.fail());
      const journal = join(run.root, "out.incomplete", JOURNAL);
      const isRemembered = () => existsSync(journal) && readFileSync(journal, "utf8").includes('"shard":');
      run.hub.fault = (request) => {
        if (!isLarge(request) || !request.url.includes(last)) return undefined;
        return { kind: "status", status: isRemembered() ? 410 : 503 };
      };
      await refusal(() => merge({ attempts: 200, longestDelayMs: 50 }), "hub-failure", {
        hint: /it goes on from here, with [1-9] of \d shards done/,
      });
      assert.equal(existsSync(run.target), false);
      // By now most files are in the cache.
      run.hub.fault = () => undefined;
      const { keptShards } = await merge();
      assert.match(keptShards[0] ?? "", /^model-00001-/);
      assertSameTarget(run.target, run.expected);
      assertCached(run);
    });

  test("fetches both sides in turns, as the merge reads them", async (context) => {
    const run = await start(context);
    await run.merge();
    const order = run.hub.requests.filter(isLarge).map(({ url }) => url);
    const firstOf = (repository: string, file: string) => {
      const digest = sha256(run.hub.repositories[repository]?.files[file] ?? assert.fail());
      return order.findIndex((url) => url.includes(digest));
    };
    const [second, third] = [2, 3].map((n) => firstOf(BASE, `pytorch_model-0000${n}-of-00003.bin`));
    const first = firstOf(DELTA, "pytorch_model-00001-of-00003.bin");
    assert.ok(first >= 0 && first < (second ?? -1) && first < (third ?? -1), order.join("\n"));
  });

  test("a base that doesn't fit is found out before anything is downloaded", async (context) => {
    const run = await start(context);
    const { files: other } = run.hub.repositories[DELTA] ?? assert.fail();
    run.hub.repositories[BASE] = { files: other };
    await refusal(() => run.merge({ skipBaseCheck: false }), "wrong-base");
    assertNoWeightsIn(run.cacheFolder);
  });

  test("a file that arrives damaged is fetched once more before anybody reads it", async (context) => {
    const run = await start(context);
    const { files = {} } = run.hub.repositories[DELTA] ?? {};
    const shard = sha256(files["pytorch_model-00002-of-00003.bin"] ?? assert.fail());
    let damaged = 0;
    run.hub.fault = (request) =>
      isLarge(request) && request.url.includes(shard) && ++damaged === 1 ? { kind: "corrupt" } : undefined;
    const warnings: string[] = [];
    await run.merge({ reporter: { ...silentReporter, warn: (text) => void warnings.push(text) } });
    assert.match(warnings.join(), /arrived damaged; downloading it once more/);
    assertSameTarget(run.target, run.expected);
    assertCached(run);
  });

  test("ends with the download's error, and goes on where it stopped", async (context) => {
    const run = await start(context);
    let data = 0;
    run.hub.fault = (request) =>
      isLarge(request) && ++data > 10 ? { kind: "status", status: 500 } : undefined;
    await refusal(run.merge, "hub-failure");
    run.hub.fault = () => undefined;
    const before = run.sentBytes();
    await run.merge();
    assert.ok(run.sentBytes() - before < run.weightBytes(BASE) + run.weightBytes(DELTA));
    assertSameTarget(run.target, run.expected);
  });

  test("is interrupted in the middle of both", async (context) => {
    const run = await start(context);
    const stop = new AbortController();
    run.hub.fault = (request) => (isData(request) ? { kind: "throttle", bytesPerSecond: 2e6 } : undefined);
    const progress = ({ bytesDone, bytesTotal }: { bytesDone: number; bytesTotal: number }) => {
      if (bytesDone > 0.6 * bytesTotal) stop.abort();
    };
    const reporter = { ...silentReporter, progress };
    await refusal(() => run.merge({ signal: stop.signal, reporter }), "interrupted", {
      message: /; (?:the model is not complete; what was downloaded is|the finished shards are) kept\.$/,
      hint: /it resumes where it stopped|it goes on from here/,
    });
    assert.equal(existsSync(run.target), false);
    run.hub.fault = () => undefined;
    await run.merge();
    assertSameTarget(run.target, run.expected);
  });
});
