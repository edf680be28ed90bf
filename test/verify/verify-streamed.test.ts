/** Verifying what stays on the Hub: the target, or what it was made from. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { applyDelta } from "../../src/apply/apply-delta.js";
import { verifyTarget } from "../../src/verify/verify-target.js";
import { flip } from "../faults/flips.js";
import { filesIn } from "../support/hub-run.js";
import {
  assertNoWeightsIn,
  BASE,
  DELTA,
  mediumPair,
  type StreamRun,
  streamRun,
} from "../support/stream-run.js";
import { checkOf, failuresOf } from "../support/verified-target.js";

const sources = { base: BASE, delta: DELTA };

/** A server sees that a connection was closed a moment after its client has closed it, and keeps others for seconds. */
async function assertNoConnections({ hub }: StreamRun): Promise<void> {
  for (let i = 0; i < 100 && (await hub.openConnections()) > 0; i++) await setTimeout(10);
  assert.equal(await hub.openConnections(), 0);
}

test("base and delta are read where they are, and every connection is closed", async (context) => {
  const run = await streamRun(context, mediumPair());
  const target = join(run.root, "target");
  await applyDelta({ ...run.local, target, skipBaseCheck: true });
  const verified = await verifyTarget({ target, sources, hub: run.hubOptions });
  assert.equal(verified.verdict, "ok");
  assert.match(checkOf(verified, "sum").detail, /bit for bit; no sum contradicts the base$/);
  assert.ok(run.sentBytes() >= run.weightBytes(BASE) + run.weightBytes(DELTA));
  assertNoWeightsIn(run.cacheFolder);
  await assertNoConnections(run);

  flip(join(target, "model.safetensors"), 100_000, 0);
  const altered = await verifyTarget({ target, sources, hub: run.hubOptions });
  assert.match(checkOf(altered, "sum").detail, /base and delta give .* \(1 of its elements differ\)$/);
  await assertNoConnections(run);
});

const TARGET = "owner/target";

/** A target on the Hub, in two shards, with its checksums. */
async function targetOnHub(context: TestContext): Promise<StreamRun & { readonly shard: string }> {
  const run = await streamRun(context, mediumPair());
  const target = join(run.root, "made");
  await applyDelta({ ...run.local, target, skipBaseCheck: true, checksums: true, maxShardBytes: 1_500_000 });
  run.hub.repositories[TARGET] = { files: filesIn(target) };
  return { ...run, shard: "model-00002-of-00002.safetensors" };
}

test("a target on the Hub passes every check where it is, and nothing is asked to download it", async (context) => {
  const run = await targetOnHub(context);
  const { verdict, checks, weightsProven, notes } = await verifyTarget({
    target: TARGET,
    sources: run.local,
    hub: { ...run.hubOptions, stream: undefined },
  });
  assert.deepEqual(
    checks.map(({ name, status, detail }) => [name, status, detail]).filter(([, status]) => status !== "ok"),
    [],
  );
  assert.deepEqual([verdict, weightsProven, notes, checks.length], ["ok", true, [], 8]);
  // Once for the checksums and once for the numbers.
  const bytes = run.weightBytes(TARGET);
  assert.ok(run.sentBytes() >= 2 * bytes && run.sentBytes() < 2.1 * bytes, `${run.sentBytes()} of ${bytes}`);
  assertNoWeightsIn(run.cacheFolder);
  await assertNoConnections(run);
});

test("a target on the Hub that was altered there fails the checks that are about it", async (context) => {
  const run = await targetOnHub(context);
  const { files = {} } = run.hub.repositories[TARGET] ?? {};
  const verify = async (changed: Record<string, Buffer>) => {
    run.hub.repositories[TARGET] = { files: { ...files, ...changed } };
    return failuresOf(await verifyTarget({ target: TARGET, sources: run.local, hub: run.hubOptions }));
  };
  const weights = Buffer.from(files[run.shard] ?? "");
  weights[weights.length - 100_000] = (weights.at(-100_000) ?? 0) ^ 1;
  assert.deepEqual(await verify({ [run.shard]: weights }), ["checksums", "sum"]);
  const config = Buffer.from(`${files["config.json"]} `);
  assert.deepEqual(await verify({ "config.json": config }), ["record", "checksums"]);
  assert.deepEqual(await verify({ [run.shard]: weights.subarray(0, 300_000) }), ["weights", "checksums"]);
  await assertNoConnections(run);
});
