/** Weights that are read from the Hub as they are needed give what downloaded ones give, and are nowhere afterwards. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type ApplyDeltaOptions, applyDelta, planMerge } from "../../src/apply/apply-delta.js";
import { readProvenance } from "../../src/target/provenance.js";
import { sha256 } from "../support/hub-server.js";
import {
  floats,
  type ModelOptions,
  type Tensor,
  temporaryFolder,
  withTensor,
} from "../support/model-folder.js";
import { decodeNumbers } from "../support/numbers.js";
import { refusal } from "../support/refusal.js";
import {
  assertNoWeightsIn,
  assertSameTarget,
  BASE,
  DELTA,
  mediumPair,
  type StreamRun,
  type StreamSides,
  streamFolders,
  streamRun,
} from "../support/stream-run.js";
import {
  assemble,
  checkpointEntries,
  legacyStream,
  pickle,
  stateDict,
  storedZip,
  tensor,
  text,
  u64,
} from "../support/torch-samples.js";

const PAIR = mediumPair();

/** What may be fetched of a file beyond its tensors: the head with its header, the tail with a zip's directory. */
const SLACK = 2 * 66_000;

/** Merges both ways and compares. */
async function assertSame(run: StreamRun, options: Partial<ApplyDeltaOptions> = {}): Promise<void> {
  const expected = join(run.root, "expected");
  await applyDelta({ ...run.local, target: expected, skipBaseCheck: true, ...options });
  await run.stream("streamed", options);
  assertSameTarget(join(run.root, "streamed"), expected);
  assertNoWeightsIn(run.cacheFolder);
}

const formats: Record<string, ModelOptions> = {
  safetensors: {},
  "safetensors shards": { shards: 3 },
  ".bin": { format: "torch" },
  ".bin shards": { format: "torch", shards: 2 },
};

describe("a merge from the Hub without a copy", { concurrency: 2 }, () => {
  for (const [base, delta] of [
    ["safetensors", "safetensors"],
    ["safetensors shards", ".bin shards"],
    [".bin", "safetensors shards"],
  ] as const) {
    test(`gives every bit: ${base} and ${delta}`, async (context) => {
      const options = { baseOptions: formats[base] ?? {}, deltaOptions: formats[delta] ?? {} };
      const run = await streamRun(context, { ...PAIR, ...options });
      await assertSame(run, { maxShardBytes: 1_000_000, threads: 2 });
      const needed = run.weightBytes(BASE) + run.weightBytes(DELTA);
      const files = (options.baseOptions.shards ?? 1) + (options.deltaOptions.shards ?? 1);
      assert.ok(run.sentBytes() <= needed + files * SLACK, `${run.sentBytes()} bytes for ${needed}`);
    });
  }

  for (const side of ["base", "delta"] as const) {
    test(`reads the other side here if only the ${side} is on the Hub`, async (context) => {
      const run = await streamRun(context, { ...PAIR, deltaOptions: { format: "torch" } });
      await assertSame(run);
      run.hub.requests.length = 0;
      const here = side === "base" ? { delta: run.local.delta } : { base: run.local.base };
      await run.stream("half", here);
      assertSameTarget(join(run.root, "half"), join(run.root, "expected"));
      const needed = run.weightBytes(side === "base" ? BASE : DELTA);
      assert.ok(run.sentBytes() >= needed - 1000 && run.sentBytes() <= needed + SLACK);
    });
  }

  test("says the same of where it came from as the cached way", async (context) => {
    const run = await streamRun(context, { ...PAIR, deltaOptions: { format: "torch", shards: 2 } });
    const summary = await run.stream("out", { skipBaseCheck: false });
    assert.equal(summary.baseCheck?.verdict, "exact");
    assert.ok(summary.bytesStreamed >= run.weightBytes(BASE) + run.weightBytes(DELTA) - 20_000);
    const hub = { endpoint: run.hub.url, cacheFolder: join(run.root, "other"), tokenFile: null };
    await applyDelta({ base: BASE, delta: DELTA, target: join(run.root, "cached", "out"), hub });
    const [streamed, cached] = ["out", "cached/out"].map((name) => readProvenance(join(run.root, name)));
    assert.ok(streamed?.delta.revision === run.hub.commitOf(DELTA));
    assert.deepEqual(streamed, cached);
  });

  test("takes what the cache has as a whole from there, and offline from there alone", async (context) => {
    const run = await streamRun(context, PAIR);
    const hub = { endpoint: run.hub.url, cacheFolder: run.cacheFolder, tokenFile: null };
    await applyDelta({ base: BASE, delta: run.local.delta, target: join(run.root, "first"), hub });
    run.hub.requests.length = 0;
    await run.stream("second");
    const etag = sha256(run.hub.repositories[BASE]?.files["model.safetensors"] ?? Buffer.of());
    assert.deepEqual(
      run.hub.contentRequests().filter(({ url }) => url.includes(etag)),
      [],
    );
    assertSameTarget(join(run.root, "second"), join(run.root, "first"));
    run.hub.requests.length = 0;
    const offline = { ...hub, stream: true, offline: true };
    await refusal(
      () => applyDelta({ base: BASE, delta: DELTA, target: join(run.root, "third"), hub: offline }),
      "not-in-cache",
      { file: `${DELTA}@main` },
    );
    assert.deepEqual(run.hub.requests, []);
  });

  test("leaves a revision of the cache as it was", async (context) => {
    const run = await streamRun(context, PAIR);
    await run.stream("out");
    assert.equal(existsSync(join(run.cacheFolder, "models--owner--base", "refs", "main")), false);
  });

  test("reads files in Xet storage over plain HTTP", async (context) => {
    const run = await streamRun(context, { ...PAIR, repository: { xet: true } });
    await assertSame(run);
    assert.ok(run.hub.requests.every(({ url }) => !/xet|reconstruction/.test(url)));
  });

  test("computes the mean for new rows, and reads that matrix twice", async (context) => {
    const grown = (tensors: readonly Tensor[], name: string) =>
      withTensor(tensors, name, ({ bytes, shape: [rows = 0, width = 0] }) => {
        const numbers = [...decodeNumbers("F16", bytes), ...new Array<number>(3 * width).fill(0.5)];
        return floats(name, "F16", [rows + 3, width], numbers);
      });
    const delta = grown(grown(PAIR.delta, "model.embed_tokens.weight"), "lm_head.weight");
    const run = await streamRun(context, { base: PAIR.base, delta });
    await assertSame(run, { rules: { newRows: "mean" } });
    const twice = PAIR.base
      .filter(({ name }) => /embed|lm_head/.test(name))
      .reduce((sum, { bytes }) => sum + bytes.length, 0);
    const needed = run.weightBytes(BASE) + run.weightBytes(DELTA) + twice;
    assert.ok(run.sentBytes() <= needed + 2 * SLACK, `${run.sentBytes()} bytes for ${needed}`);
  });

  test("can be read back and compared before it appears", async (context) => {
    const run = await streamRun(context, PAIR);
    const { verified } = await run.stream("out", { verify: true });
    assert.equal(verified, true);
  });

  test("can't prove a delta by checksums of files that it doesn't have", async (context) => {
    const run = await streamRun(context, PAIR);
    await refusal(() => run.stream("out", { verifyDelta: true }), "bad-usage", { message: /--verify-delta/ });
    await run.stream("out", { verifyDelta: true, delta: run.local.delta });
  });

  for (const stream of [true, false])
    test(`a plan needs headers and samples only, stream: ${stream}`, async (context) => {
      const width = 1024;
      const values = Float64Array.from({ length: width * width }, (_, i) => ((i % 61) - 30) / 1024);
      const matrix = (factor: number) => [
        floats(
          "model.layers.0.mlp.up_proj.weight",
          "F16",
          [width, width],
          values.map((value) => value * factor),
        ),
      ];
      const run = await streamRun(context, { base: matrix(1), delta: matrix(1 / 1024) });
      const { hub, cacheFolder } = run;
      const options = { base: BASE, delta: DELTA, target: join(run.root, "out"), force: true };
      const { baseCheck: fit } = await planMerge({
        ...options,
        hub: { endpoint: hub.url, cacheFolder, tokenFile: null, stream },
      });
      assert.ok(fit !== null && fit.statistics.sampled > 0);
      const sampled = 2 * 2 * fit.statistics.sampled;
      assert.ok(
        run.sentBytes() <= sampled + 2 * SLACK,
        `${run.sentBytes()} bytes for a sample of ${sampled}`,
      );
      assert.ok(run.weightBytes(BASE) > 7 * (sampled / 2 + SLACK));
      assertNoWeightsIn(cacheFolder);
      assert.deepEqual(
        readdirSync(run.root).filter((name) => name.startsWith("out")),
        [],
      );
    });
});

test("a far line is filled by more requests than there are connections", async (context) => {
  const bytes = new Uint8Array(24_000_000);
  const tensors = [{ name: "weight", dtype: "F16", shape: [bytes.length / 2], bytes }] as const;
  const run = await streamRun(context, { base: tensors, delta: tensors });
  run.hub.line = { latencyMs: 40, bytesPerSecond: 40e6 };
  await run.stream("out", { force: true, transfer: { connections: 2, rangeBytes: 2 ** 22 } });
  assert.ok(run.hub.mostAtOnce >= 8, `${run.hub.mostAtOnce} at once`);
});

test("a zip's local headers and what lies around them cost a request a tensor, once", async (context) => {
  const run = await streamRun(context, { ...PAIR, deltaOptions: { format: "torch" } });
  const { hub, cacheFolder } = run;
  await planMerge({
    ...{ base: BASE, delta: DELTA, target: join(run.root, "out"), skipBaseCheck: true },
    hub: { endpoint: hub.url, cacheFolder, tokenFile: null, stream: true },
  });
  const etag = sha256(hub.repositories[DELTA]?.files["pytorch_model.bin"] ?? Buffer.of());
  const requests = hub.contentRequests().filter(({ url }) => url.includes(etag)).length;
  assert.ok(requests <= PAIR.delta.length + 5, `${requests} requests for ${PAIR.delta.length} tensors`);
});

/** A delta as one `.bin`, made by hand. */
async function runOfBin(context: TestContext, bin: Buffer): Promise<StreamRun> {
  const sides: StreamSides = PAIR;
  const run = await streamRun(context, sides);
  const delta = join(temporaryFolder(context), "delta");
  mkdirSync(delta);
  writeFileSync(join(delta, "pytorch_model.bin"), bin);
  return streamFolders(context, run.root, { base: run.local.base, delta });
}

test("tensors whose elements don't lie in order are fetched when they are asked for", async (context) => {
  const records: Record<string, Buffer> = {};
  const nodes = PAIR.delta.map(({ name, shape, bytes }, i) => {
    const [rows = 0, columns = 0] = shape;
    const isTransposed = shape.length === 2 && i % 2 === 0;
    records[`${i}`] = Buffer.from(isTransposed ? transposed(bytes, rows, columns) : bytes);
    const strides = shape.length === 1 ? [1] : isTransposed ? [1, rows] : [columns, 1];
    return [name, tensor({ key: `${i}`, numel: bytes.length / 2, shape, strides })] as const;
  });
  const run = await runOfBin(
    context,
    storedZip(checkpointEntries(stateDict(Object.fromEntries(nodes)), records)),
  );
  await assertSame(run);
  // Both sides are smaller than what is kept: nothing is fetched again and again.
  const needed = run.weightBytes(BASE) + run.weightBytes(DELTA);
  assert.ok(run.sentBytes() <= 1.5 * needed + 2 * SLACK, `${run.sentBytes()} bytes for ${needed}`);
});

test("a stream of before PyTorch 1.6 is read the same way", async (context) => {
  const nodes = PAIR.delta.map(({ name, shape, bytes }, i) => {
    const strides = shape.length === 1 ? [1] : [shape[1] ?? 0, 1];
    const place = { key: `${i}`, numel: bytes.length / 2, shape, strides, legacyView: assemble("N") };
    return [name, tensor(place)] as const;
  });
  const keys = PAIR.delta.map((_, i) => text(`${i}`));
  const data = PAIR.delta.flatMap(({ bytes }) => [u64(BigInt(bytes.length / 2)), Buffer.from(bytes)]);
  const bin = legacyStream({
    object: stateDict(Object.fromEntries(nodes)),
    keys: pickle("](", ...keys, "e"),
    data: assemble(...data),
  });
  const run = await runOfBin(context, bin);
  await assertSame(run);
  const needed = run.weightBytes(BASE) + run.weightBytes(DELTA);
  assert.ok(run.sentBytes() <= needed + 2 * SLACK, `${run.sentBytes()} bytes for ${needed}`);
});

function transposed(bytes: Uint8Array, rows: number, columns: number): Uint8Array {
  const from = new Uint16Array(bytes.slice().buffer);
  const to = new Uint16Array(from.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      to[column * rows + row] = from[row * columns + column] as number;
  return new Uint8Array(to.buffer);
}
