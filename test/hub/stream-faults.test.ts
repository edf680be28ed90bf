/** Streaming from a Hub that misbehaves, and runs that are stopped: the right target or a typed error, never a hang. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { applyDelta } from "../../src/apply/apply-delta.js";
import { silentReporter } from "../../src/progress.js";
import { type Fault, type RecordedRequest, sha256 } from "../support/hub-server.js";
import { madeOnce } from "../support/made-once.js";
import { floats, tinyPair, tinyShapes } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import {
  assertNoWeightsIn,
  assertSameTarget,
  BASE,
  DELTA,
  isData,
  mediumPair,
  type StreamRun,
  streamRun,
} from "../support/stream-run.js";

const PAIR = mediumPair();

/** A server that never answers again is waited for so long that a test that waits for it fails. */
const FOREVER_MS = 600_000;

/** A fault for each `n`th request for data. */
function every(n: number, fault: (i: number) => Fault) {
  let i = 0;
  return (request: RecordedRequest) => (isData(request) && ++i % n === 0 ? fault(i) : undefined);
}

/** The pair on a Hub, and what a merge from the disk makes of it. */
async function withExpected(context: TestContext): Promise<StreamRun & { readonly expected: string }> {
  const run = await streamRun(context, { ...PAIR, deltaOptions: { format: "torch", shards: 2 } });
  const root = await madeOnce("stream-faults", (folder) =>
    applyDelta({ ...run.local, target: join(folder, "expected"), skipBaseCheck: true }),
  );
  return { ...run, expected: join(root, "expected") };
}

describe("a Hub that misbehaves", { concurrency: 2 }, () => {
  for (const [what, fault] of [
    ["connections break", every(2, (i) => ({ kind: "drop", afterBytes: 1000 * i }))],
    ["connections fall silent", every(5, () => ({ kind: "stall", afterBytes: 3000 }))],
    ["answers end early", every(3, () => ({ kind: "truncate", afterBytes: 50_000 }))],
    ["it is slow", every(1, () => ({ kind: "throttle", bytesPerSecond: 3e6 }))],
    ["it fails now and then", every(3, () => ({ kind: "status", status: 503 }))],
    [
      "it asks for a pause",
      every(7, () => ({ kind: "status", status: 429, headers: { "retry-after": "0.05" } })),
    ],
  ] as const) {
    test(`gives the same target where ${what}`, async (context) => {
      const run = await withExpected(context);
      run.hub.fault = fault;
      await run.stream("out", { transfer: { attempts: 12 } });
      assertSameTarget(join(run.root, "out"), run.expected);
      assertNoWeightsIn(run.cacheFolder);
    });
  }

  test("and addresses that expire are asked for anew", async (context) => {
    const run = await withExpected(context);
    run.hub.validSignatures = 8;
    await run.stream("out");
    assertSameTarget(join(run.root, "out"), run.expected);
  });

  for (const [what, fault, code] of [
    ["breaks off for good", { kind: "drop", afterBytes: 0 }, "no-network"],
    ["falls silent for good", { kind: "stall", afterBytes: 0 }, "no-network"],
    ["fails for good", { kind: "status", status: 500 }, "hub-failure"],
    ["has too many requests", { kind: "status", status: 429 }, "rate-limited"],
    ["refuses", { kind: "status", status: 403 }, "hub-failure"],
  ] as const) {
    test(`ends in an error where it ${what} in the middle of the weights`, async (context) => {
      const run = await withExpected(context);
      // The middle of the base's one file, behind its header.
      run.hub.fault = (request) =>
        isData(request) && (request.range?.[0] ?? 0) > 600_000 ? fault : undefined;
      const error = await refusal(() => run.stream("out", { transfer: { stallMs: 150, attempts: 3 } }), code);
      assert.match(String(error.details.file), /^owner\/(?:base|delta)\//);
      assert.equal(existsSync(join(run.root, "out")), false);
    });
  }

  test("is found out where a file has another size than is listed", async (context) => {
    const run = await streamRun(context, PAIR);
    const repository = run.hub.repositories[DELTA];
    assert.ok(repository !== undefined);
    const bytes = repository.files["model.safetensors"] ?? Buffer.of();
    const listed = { "model.safetensors": { size: bytes.length + 8 } };
    run.hub.repositories[DELTA] = { ...repository, listed };
    await refusal(() => run.stream("out"), "download-damaged", { file: "model.safetensors" });
  });

  test("is found out where a file becomes another one", async (context) => {
    const run = await streamRun(context, PAIR);
    const repository = run.hub.repositories[DELTA];
    const bytes = repository?.files["model.safetensors"] ?? assert.fail();
    const other = Buffer.from(bytes);
    other[bytes.length - 1] = 1;
    run.hub.repositories["another/one"] = { files: { "model.safetensors": other } };
    const to = `${run.hub.contentUrl}/content/${sha256(other)}?signature=9`;
    run.hub.fault = (request) =>
      isData(request) && request.url.includes(sha256(bytes)) && (request.range?.[0] ?? 0) > 600_000
        ? { kind: "redirect", to }
        : undefined;
    await refusal(() => run.stream("out"), "source-changed", { file: `${DELTA}/model.safetensors` });
  });

  for (const [content, code] of [
    ["<!doctype html><title>Log in</title>", "html-page"],
    ["version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123456\n", "lfs-pointer"],
  ] as const) {
    test(`is told what it gives instead of weights: ${code}`, async (context) => {
      const run = await streamRun(context, PAIR);
      run.hub.repositories[DELTA] = { files: { "pytorch_model.bin": Buffer.from(content.padEnd(5000)) } };
      await refusal(() => run.stream("out"), code, { file: `${DELTA}/pytorch_model.bin` });
    });
  }
});

describe("a run that is stopped", { concurrency: 2 }, () => {
  test("ends though the Hub has fallen silent", async (context) => {
    const run = await streamRun(context, PAIR);
    const stop = new AbortController();
    let silent = 0;
    run.hub.fault = (request) => {
      if (!isData(request) || (request.range?.[0] ?? 0) < 400_000) return undefined;
      if (++silent === 3) setTimeout(() => stop.abort(), 50);
      return { kind: "stall", afterBytes: 10 };
    };
    const options = { signal: stop.signal, transfer: { stallMs: FOREVER_MS } };
    await refusal(() => run.stream("out", options), "interrupted");
    assert.deepEqual(
      readdirSync(run.root).filter((name) => name.startsWith("out")),
      [],
    );
  });

  test("ends while it reads headers", async (context) => {
    const run = await streamRun(context, PAIR);
    const stop = new AbortController();
    run.hub.fault = (request) => {
      if (!isData(request)) return undefined;
      setTimeout(() => stop.abort(), 50);
      return { kind: "stall", afterBytes: 10 };
    };
    await refusal(
      () => run.stream("out", { signal: stop.signal, transfer: { stallMs: FOREVER_MS } }),
      "interrupted",
    );
  });

  // The base ends before a segment does, while nothing more comes of that segment of the delta, or of the next one.
  for (const [what, silentFrom] of [
    ["in what it waits for", 100_000],
    ["in another segment", 2 * 1024 * 1024 + 500_000],
  ] as const)
    test(`ends by a worker's own failure ${what} though the Hub has fallen silent`, async (context) => {
      const values = new Float64Array(3_000_000);
      const tensors = [floats("weight", "F16", [values.length], values)];
      const run = await streamRun(context, { base: tensors, delta: tensors });
      run.hub.fault = (request) =>
        isData(request) && (request.range?.[1] ?? 0) > silentFrom
          ? { kind: "stall", afterBytes: 0 }
          : undefined;
      const base = join(run.local.base, "model.safetensors");
      const detail = (said: string) => {
        if (said.startsWith("delta:")) truncateSync(base, 1000);
      };
      const options = { base, threads: 2, reporter: { ...silentReporter, detail } };
      await refusal(
        () => run.stream("out", { ...options, transfer: { stallMs: FOREVER_MS } }),
        "truncated-file",
        { file: base },
      );
    });

  test("goes on where it stopped, and fetches only the rest", async (context) => {
    const run = await streamRun(context, tinyPair(1, tinyShapes(512, 192, 6)));
    await applyDelta({
      ...run.local,
      target: join(run.root, "expected"),
      skipBaseCheck: true,
      maxShardBytes: 1_000_000,
    });
    const stop = new AbortController();
    const journal = join(run.root, "out.incomplete", ".vicuna-apply-delta");
    run.hub.fault = (request) => (isData(request) ? { kind: "throttle", bytesPerSecond: 2e6 } : undefined);
    const progress = ({ bytesDone }: { bytesDone: number }) => {
      if (bytesDone > 3_500_000) stop.abort();
    };
    const reporter = { ...silentReporter, progress };
    const options = { maxShardBytes: 1_000_000 };
    await refusal(() => run.stream("out", { ...options, signal: stop.signal, reporter }), "interrupted");
    assert.ok(existsSync(journal));
    run.hub.fault = () => undefined;
    run.hub.requests.length = 0;
    const { keptShards, shards } = await run.stream("out", options);
    assert.ok(keptShards.length > 0 && keptShards.length < shards.length);
    const keptBytes = shards
      .filter(({ file }) => keptShards.includes(file))
      .reduce((sum, { bytes }) => sum + bytes, 0);
    const needed = run.weightBytes(BASE) + run.weightBytes(DELTA) - 2 * keptBytes;
    assert.ok(run.sentBytes() <= needed + 300_000, `${run.sentBytes()} bytes for ${needed}`);
    assertSameTarget(join(run.root, "out"), join(run.root, "expected"));
  });
});
