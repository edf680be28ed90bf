/** The library as a program calls it: several calls at once, and calls that are stopped. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  applyDelta,
  compareModels,
  EXIT,
  inspectModel,
  isApplyDeltaError,
  listReleases,
  makeDelta,
  type ProgressUpdate,
  planDelta,
  planMerge,
  verifyTarget,
} from "../../src/index.js";
import { place } from "../support/library-place.js";
import { listing } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const contents = (folder: string) =>
  Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => [name, readFileSync(join(folder, name)).toString("latin1")]),
  );

describe("calls", { concurrency: 2 }, () => {
  test("two merges at once make what each makes alone", async (context) => {
    const places = [place(context, 1), place(context, 2)];
    const together = await Promise.all(
      places.map(({ options }) => applyDelta(options("made", { threads: 3 }))),
    );
    for (const { options } of places) await applyDelta(options("alone/made", { threads: 3 }));
    for (const [i, { root }] of places.entries()) {
      assert.deepEqual(contents(join(root, "made")), contents(join(root, "alone", "made")));
      assert.equal(together[i]?.target, join(root, "made"));
      assert.ok((together[i]?.shards.length ?? 0) > 2);
    }
  });

  test("of two merges into one folder at once, one is refused, or finds it made, and the other whole", async (context) => {
    const { root, options } = place(context);
    const merge = () =>
      applyDelta(options("made")).then(
        ({ alreadyMade }) => (alreadyMade ? "already made" : "made"),
        (error: unknown) => (isApplyDeltaError(error, "target-busy") ? "busy" : String(error)),
      );
    const outcomes = (await Promise.all([merge(), merge()])).sort();
    // The other is refused, or where the first was quicker, finds it made.
    assert.ok(["busy,made", "already made,made"].includes(outcomes.join()), outcomes.join());
    assert.equal((await verifyTarget({ target: join(root, "made") })).verdict, "ok");
  });

  test("a plan is plain data, says what the merge then does, and touches nothing", async (context) => {
    const { root, options } = place(context);
    const before = listing(root);
    const plan = await planMerge(options("made"));
    assert.deepEqual(listing(root), before);
    assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan);
    const summary = await applyDelta(options("made"));
    assert.deepEqual(
      plan.shards.map(({ file, bytes }) => ({ file, bytes })),
      summary.shards,
    );
    assert.deepEqual(plan.tensors, summary.tensors);
    assert.deepEqual([plan.bytesToRead, plan.bytesToWrite], [summary.bytesRead, summary.bytesWritten]);
    const weights = plan.shards.map(({ file }) => file);
    assert.deepEqual(readdirSync(plan.target).sort(), [...weights, ...plan.files].sort());
  });

  test("a delta's plan likewise", async (context) => {
    const { root, base, tuned } = place(context);
    const before = listing(root);
    const plan = await planDelta({ base, tuned, delta: join(root, "made") });
    assert.deepEqual(listing(root), before);
    assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan);
    const summary = await makeDelta({ base, tuned, delta: join(root, "made") });
    assert.deepEqual([plan.delta, plan.tensors], [summary.delta, summary.tensors]);
    assert.equal(summary.restores.elements, plan.parameters);
  });

  test("releases are listed", async () => {
    const { releases } = await listReleases();
    assert.ok(releases.some(({ title, kind }) => title === "Vicuna 7B v1.1" && kind === "delta"));
  });
});

describe("an abort", { concurrency: 2 }, () => {
  test("before the call: nothing is touched", async (context) => {
    const { root, base, tuned, options } = place(context);
    const before = listing(root);
    const signal = AbortSignal.abort();
    const calls = [
      () => applyDelta(options("made", { signal })),
      () => planMerge(options("made", { signal })),
      () => makeDelta({ base, tuned, delta: join(root, "made"), signal }),
      () => compareModels({ a: base, b: tuned, signal }),
      () => inspectModel({ model: base, signal }),
      () => verifyTarget({ target: base, signal }),
    ];
    for (const call of calls) assert.equal((await refusal(call, "interrupted")).exitCode, EXIT.interrupted);
    assert.deepEqual(listing(root), before);
  });

  test("in the middle: finished shards wait, and the next call goes on from them", async (context) => {
    const { root, options } = place(context);
    const controller = new AbortController();
    const onProgress = ({ activity }: ProgressUpdate) => {
      if (activity === "writing checksums") controller.abort();
    };
    const more = { checksums: true, onProgress, signal: controller.signal };
    await refusal(() => applyDelta(options("made", more)), "interrupted", { hint: /goes on from here/ });
    assert.deepEqual(
      [existsSync(join(root, "made")), existsSync(join(root, "made.incomplete"))],
      [false, true],
    );
    const summary = await applyDelta(options("made", { checksums: true }));
    assert.deepEqual(
      summary.keptShards,
      summary.shards.map(({ file }) => file),
    );
  });

  test("of one call leaves another alone", async (context) => {
    const { options } = place(context);
    const controller = new AbortController();
    const stopped = applyDelta(
      options("stopped", { signal: controller.signal, onProgress: () => controller.abort() }),
    );
    const made = applyDelta(options("made"));
    await refusal(() => stopped, "interrupted");
    assert.equal((await made).tensors.added, 21);
  });

  test("signals that serve many calls keep no listener", async (context) => {
    const { base } = place(context);
    const controller = new AbortController();
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => void warnings.push(warning);
    process.on("warning", onWarning);
    const { signal } = controller;
    await Promise.all(Array.from({ length: 8 }, () => inspectModel({ model: base, signal })));
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", onWarning);
    assert.deepEqual(warnings, []);
  });
});
