/**
 * No reader takes steps that grow faster than its input, nor too many without giving way to signals: every input of
 * hostile-models.ts at a size, at twice the size, and at the caps. Steps are counted, not timed, so a machine that is
 * busy changes nothing.
 */
// biome-ignore assist/source/organizeImports: before what is counted.
import { countSteps, countStepsAtOnce } from "./steps.js";
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isApplyDeltaError } from "../../src/errors.js";
import { listFolder } from "../../src/hub/listing.js";
import { partialBytes } from "../../src/hub/partial-blob.js";
import { joinRanges } from "../../src/hub/ranges.js";
import type { HubSession } from "../../src/hub/session.js";
import { applyDelta, compareModels, inspectModel, planMerge, verifyTarget } from "../../src/index.js";
import type { Descriptor } from "../../src/tensor.js";
import { temporaryFolder, tinyPair, tinyShapes, writeModel } from "../support/model-folder.js";
import { ATTACKS, type Command, type Models, remake } from "./hostile-models.js";

/** Of the caps. */
const SHARE = 1 / 32;

/** Twice the input may take twice the steps, and sorting it a little more; four times as many are quadratic. */
const MOST_GROWTH = 2.2;

/** What is no step of a reader's. */
const OTHER_STEPS = 1_000;

/** Between two turns of the event loop, at the caps: a journal of 4 MB takes half of them. */
const MOST_AT_ONCE = 1 << 25;

/** Passing over space takes two steps a byte, a nanosecond each. */
const MOST_IN_SPACE = 1 << 27;

const RUN: Readonly<Record<Command, (models: Models) => Promise<unknown>>> = {
  plan: (models) => planMerge(models),
  apply: (models) => applyDelta({ ...models, sync: false, threads: 1 }),
  verify: ({ delta }) => verifyTarget({ target: delta, threads: 1 }),
  compare: ({ base, delta }) => compareModels({ a: base, b: delta, threads: 1 }),
  inspect: ({ delta }) => inspectModel({ model: delta }),
};

async function settle(action: () => Promise<unknown>): Promise<void> {
  await action().catch((error: unknown) => {
    if (!isApplyDeltaError(error)) throw error;
  });
}

async function assertBounded(name: string, run: (share: number) => () => Promise<unknown>): Promise<void> {
  const act = (share: number) => {
    const action = run(share);
    return () => settle(action);
  };
  // Modules and caches are loaded once.
  await act(SHARE / 256)();
  const [once, twice] = [await countSteps(act(SHARE)), await countSteps(act(2 * SHARE))];
  const says = `${name}: ${once} steps, and ${twice} for twice the input`;
  assert.ok(twice <= MOST_GROWTH * once + OTHER_STEPS, says);
  const atOnce = await countStepsAtOnce(act(1));
  const most = name.includes("space") ? MOST_IN_SPACE : MOST_AT_ONCE;
  assert.ok(atOnce <= most, `${name}: ${atOnce} steps before a signal is seen`);
}

/** Waited for, a minute each time, and no step is taken meanwhile. */
const WAITED_FOR = "a lock of 1 GB";

for (const { name, command, attack } of ATTACKS.filter((each) => each.name !== WAITED_FOR)) {
  test(`${command}: ${name}`, async (context) => {
    const root = temporaryFolder(context);
    const pair = tinyPair(1, tinyShapes(64, 8, 1));
    await assertBounded(name, (share) => {
      const models = {
        base: writeModel(remake(join(root, "base")), pair.base),
        delta: writeModel(remake(join(root, "delta")), pair.delta),
        target: join(root, "target"),
      };
      rmSync(models.target, { recursive: true, force: true });
      attack(models, share);
      return () => RUN[command](models);
    });
  });
}

test("a listing of the Hub", () =>
  assertBounded("listing", (share) => {
    const file = { type: "file", path: "f", size: 1, oid: "0".repeat(40) };
    const files = Array.from({ length: 65_000 * share }, (_, i) => ({ ...file, path: `f${i}` }));
    const fetchApi = async () => Response.json(files);
    const session = { settings: { endpoint: "http://localhost" }, fetchApi } as unknown as HubSession;
    return () => listFolder(session, { repository: "owner/model", revision: "main" });
  }));

test("a download's note of many ranges", (context) => {
  const blob = join(temporaryFolder(context), "blob");
  return assertBounded("note", (share) => {
    const ranges = Array.from({ length: 4_096 * share }, (_, i) => [3 * i, 3 * i + 1]);
    const byteLength = 3 * ranges.length;
    writeFileSync(`${blob}.ranges.part`, Buffer.alloc(byteLength));
    writeFileSync(`${blob}.ranges.json`, JSON.stringify({ byteLength, ranges }));
    return async () => assert.equal(partialBytes(blob, byteLength), ranges.length);
  });
});

test("a streamed model's small ranges, far apart, behind a file that isn't read on", () =>
  assertBounded("requests", (share) => {
    const at = (file: number, offsetBytes: number) => ({
      fd: { file } as Descriptor,
      offsetBytes,
      byteLength: 2,
    });
    const ranges = [at(0, 0), ...Array.from({ length: 260_000 * share }, (_, i) => at(1, i * 1e6))];
    return async () => assert.equal([...joinRanges(ranges, 1e9, 1e5)].length, ranges.length);
  }));
