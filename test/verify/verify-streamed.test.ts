/** Verifying with sources that stay on the Hub. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { applyDelta } from "../../src/apply/apply-delta.js";
import { verifyTarget } from "../../src/verify/verify-target.js";
import { flip } from "../faults/flips.js";
import { refusal } from "../support/refusal.js";
import {
  assertNoWeightsIn,
  BASE,
  DELTA,
  mediumPair,
  type StreamRun,
  streamRun,
} from "../support/stream-run.js";
import { checkOf } from "../support/verified-target.js";

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

test("a target whose weights stay on the Hub is refused", async (context) => {
  const run = await streamRun(context, mediumPair());
  await refusal(() => verifyTarget({ target: BASE, hub: run.hubOptions }), "bad-usage", {
    file: BASE,
    message: /reads the target from this machine/,
    hint: /Leave hub\.stream out/,
  });
  await assertNoConnections(run);
  const downloaded = await verifyTarget({ target: BASE, hub: { ...run.hubOptions, stream: false } });
  assert.equal(checkOf(downloaded, "weights").status, "ok");
});
