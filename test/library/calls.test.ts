/** The library as a program calls it: several calls at once, stopped, watched, wrong. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import {
  ApplyDeltaError,
  type ApplyDeltaOptions,
  applyDelta,
  type CallOptions,
  checkUpload,
  compareModels,
  EXIT,
  inspectModel,
  isApplyDeltaError,
  listReleases,
  makeDelta,
  type ProgressUpdate,
  planDelta,
  planMerge,
  uploadModel,
  verifyTarget,
} from "../../src/index.js";
import { QUICK, tinyRepositories } from "../support/hub-run.js";
import { startHub } from "../support/hub-server.js";
import { listing, temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { uploadRun } from "../support/upload-run.js";

interface Place {
  readonly root: string;
  readonly base: string;
  readonly delta: string;
  readonly tuned: string;
  /** A merge in several shards. */
  options(target: string, more?: Partial<ApplyDeltaOptions>): ApplyDeltaOptions;
}

function place(context: TestContext, seed = 1): Place {
  const root = temporaryFolder(context);
  const pair = tinyPair(seed);
  const base = writeModel(join(root, "base"), pair.base);
  const delta = writeModel(join(root, "delta"), pair.delta, { format: "torch", shards: 2 });
  const tuned = writeModel(join(root, "tuned"), pair.tuned);
  const options = (target: string, more: Partial<ApplyDeltaOptions> = {}) => {
    return { base, delta, target: join(root, target), maxShardBytes: 20_000, ...more };
  };
  return { root, base, delta, tuned, options };
}

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

  test("of two merges into one folder at once, one is refused and the other whole", async (context) => {
    const { root, options } = place(context);
    const outcomes = await Promise.allSettled([applyDelta(options("made")), applyDelta(options("made"))]);
    const errors = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
    assert.equal(errors.length, 1);
    assert.ok(isApplyDeltaError(errors[0], "target-exists"), String(errors[0]));
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

/** Runs a call and gives the updates of each activity, in the order in which they began. */
async function watched(
  run: (options: CallOptions) => Promise<unknown>,
): Promise<Map<string, ProgressUpdate[]>> {
  const updates: ProgressUpdate[] = [];
  await run({ onProgress: (update) => void updates.push(update) });
  const activities = new Map<string, ProgressUpdate[]>();
  for (const [i, update] of updates.entries()) {
    const before = activities.get(update.activity);
    if (before === undefined) activities.set(update.activity, [update]);
    else {
      assert.equal(updates[i - 1]?.activity, update.activity, "an activity that ended doesn't come again");
      before.push(update);
    }
  }
  return activities;
}

function assertRises(activities: Map<string, ProgressUpdate[]>): void {
  for (const [activity, updates] of activities) {
    for (const [i, { bytesDone, bytesTotal }] of updates.entries()) {
      assert.ok(bytesDone >= (updates[i - 1]?.bytesDone ?? 0), `${activity} goes back`);
      assert.equal(bytesTotal, updates[0]?.bytesTotal, `${activity} has two totals`);
      assert.ok(bytesTotal > 0 && bytesDone <= bytesTotal);
    }
    assert.equal(updates.at(-1)?.bytesDone, updates.at(-1)?.bytesTotal, `${activity} doesn't end`);
  }
}

describe("progress", { concurrency: 2 }, () => {
  test("of a merge with everything", async (context) => {
    const { options } = place(context);
    const activities = await watched((call) =>
      applyDelta(options("made", { ...call, checksums: true, verify: true })),
    );
    assert.deepEqual(
      [...activities.keys()],
      ["merging", "writing checksums", "verifying checksums", "verifying"],
    );
    assertRises(activities);
    const merging = activities.get("merging") ?? [];
    assert.match(merging[0]?.current ?? "", /^model-0000\d-of-0000\d\.safetensors$/);
  });

  test("of making, comparing and verifying", async (context) => {
    const { root, base, tuned } = place(context);
    const made = await watched((call) => makeDelta({ base, tuned, delta: join(root, "made"), ...call }));
    const compared = await watched((call) => compareModels({ a: base, b: tuned, ...call }));
    const verified = await watched((call) => verifyTarget({ target: tuned, ...call }));
    for (const activities of [made, compared, verified]) assertRises(activities);
    assert.deepEqual(
      [...made.keys(), ...compared.keys(), ...verified.keys()],
      ["subtracting", "comparing", "verifying"],
    );
  });

  test("of a download, where a file arrives damaged, too", async (context) => {
    const { root, options } = place(context);
    const repositories = tinyRepositories(join(root, "repositories"));
    const hub = await startHub({ "owner/base": repositories.base }, context);
    let isDamaged = false;
    hub.fault = ({ at, range }) => {
      if (isDamaged || at !== "content" || (range?.[1] ?? 0) < 1_000) return undefined;
      isDamaged = true;
      return { kind: "corrupt" };
    };
    const warnings: string[] = [];
    const settings = { endpoint: hub.url, cacheFolder: join(root, "hub"), tokenFile: null, transfer: QUICK };
    const activities = await watched((call) =>
      applyDelta(
        options("made", {
          ...call,
          base: "owner/base",
          hub: settings,
          reporter: { warn: (text) => void warnings.push(text) },
        }),
      ),
    );
    assert.match(warnings.join(), /arrived damaged; downloading it once more/);
    assert.deepEqual([...activities.keys()], ["downloading", "merging"]);
    assertRises(activities);
  });

  test("of an upload, where the connection drops, too", async (context) => {
    const { hub, folder, options } = await uploadRun(context);
    hub.uploads.partBytes = 10_000;
    let drops = 0;
    hub.fault = ({ method }) =>
      method === "PUT" && drops++ < 2 ? { kind: "drop", afterBytes: 5_000 } : undefined;
    const { hub: settings, repository } = options();
    const updates: ProgressUpdate[] = [];
    await uploadModel({
      folder,
      repository,
      ...(settings === undefined ? {} : { hub: settings }),
      onProgress: (update) => void updates.push(update),
    });
    const sent = updates.filter(({ activity }) => activity === "uploading");
    for (const [i, { bytesDone }] of sent.entries()) assert.ok(bytesDone >= (sent[i - 1]?.bytesDone ?? 0));
    assert.ok(sent.length > 0 && sent.at(-1)?.bytesDone === sent.at(-1)?.bytesTotal);
  });

  test("a reporter may have any of its methods, and be an object of a class", async (context) => {
    const { options } = place(context);
    class Listener {
      readonly heard = new Set<string>();
      detail(text: string): void {
        this.heard.add(text.slice(0, 6));
      }
      progress({ activity }: ProgressUpdate): void {
        this.heard.add(activity);
      }
      progressDone(): void {
        this.heard.add("done");
      }
    }
    const reporter = new Listener();
    await applyDelta(options("made", { reporter }));
    assert.deepEqual([...reporter.heard], ["base: ", "delta:", "exact:", "merging", "done"]);
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

describe("what a callback throws", { concurrency: 2 }, () => {
  const boom = new Error("boom");
  const fail = () => {
    throw boom;
  };
  const callbacks: Record<string, Partial<ApplyDeltaOptions>> = {
    onProgress: { onProgress: fail },
    "reporter.progress": { reporter: { progress: fail } },
    "reporter.detail": { reporter: { detail: fail } },
    "the last update": {
      checksums: true,
      onProgress: ({ activity, bytesDone, bytesTotal }) => {
        if (activity === "writing checksums" && bytesDone === bytesTotal) fail();
      },
    },
  };
  for (const [name, more] of Object.entries(callbacks)) {
    test(`${name}: the call rejects with it, and there is no target`, async (context) => {
      const { root, options } = place(context);
      await assert.rejects(applyDelta(options("made", more)), (error) => error === boom);
      assert.equal(existsSync(join(root, "made")), false);
      await applyDelta(options("made"));
    });
  }
});

describe("errors", { concurrency: 2 }, () => {
  test("are typed, and the guard narrows them", async (context) => {
    const { root, base, delta, options } = place(context);
    const cases = [
      [() => applyDelta(options("made", { base: join(root, "nothing") })), "source-not-found", EXIT.source],
      [() => applyDelta(options("made", { base: delta, delta: base })), "swapped", EXIT.mismatch],
      [() => applyDelta(options("base")), "target-overlaps-source", EXIT.target],
      [() => compareModels({ a: base, b: base }), "bad-usage", EXIT.usage],
      [() => inspectModel({ model: join(base, "config.json") }), "unknown-format", EXIT.malformed],
      [() => verifyTarget({ target: join(root, "nothing") }), "source-not-found", EXIT.source],
    ] as const;
    for (const [call, code, exitCode] of cases) {
      const error = await refusal(call, code);
      assert.ok(error instanceof Error && error instanceof ApplyDeltaError);
      assert.ok(isApplyDeltaError(error) && isApplyDeltaError(error, code));
      assert.ok(!isApplyDeltaError(error, "interrupted"));
      assert.equal(error.exitCode, exitCode, code);
      assert.ok(error.format().startsWith(`${error.message}\n`));
    }
    for (const other of [new Error("x"), null, undefined, "text", { code: "bad-usage" }])
      assert.equal(isApplyDeltaError(other), false);
  });

  const invalid: readonly [object, string][] = [
    [{ threads: 0 }, "Invalid threads: 0. Use a whole number from 1 to 256."],
    [{ maxShardBytes: 1.5 }, "Invalid maxShardBytes: 1.5. Use a whole number of at least 1."],
    [{ scale: 0 }, "Invalid scale: 0. Use a number other than 0."],
    [{ dtype: "float8" }, 'Invalid dtype: "float8". Use auto, F16, BF16 or F32.'],
    [{ format: "gguf" }, 'Invalid format: "gguf". Use safetensors or bin.'],
    [{ target: "" }, `Invalid target: "". Use text that isn't empty.`],
    [{ target: undefined }, "Missing target. Use text that isn't empty."],
    [{ overwrite: "yes" }, 'Invalid overwrite: "yes". Use true or false.'],
    [{ rules: { newRows: "one" } }, 'Invalid rules.newRows: "one". Use zero, mean or error.'],
    [
      { hub: { transfer: { stallMs: -1 } } },
      "Invalid hub.transfer.stallMs: -1. Use a whole number of at least 1.",
    ],
    [{ reporter: { warn: "loud" } }, 'Invalid reporter.warn: "loud". Use a function.'],
    [{ signal: {} }, "Invalid signal: an object. Use an AbortSignal."],
    [{ hub: null }, "Invalid hub: null. Use an object."],
    [{ treads: 2 }, "Unknown option: treads. Check the name for a typo."],
    [{ rules: { newRow: "zero" } }, "Unknown option: rules.newRow. Check the name for a typo."],
  ];
  for (const [more, message] of invalid) {
    test(message, async (context) => {
      const { root, options } = place(context);
      const before = listing(root);
      const call = { ...options("made"), ...more } as ApplyDeltaOptions;
      const error = await refusal(() => applyDelta(call), "bad-usage");
      const { hint = "" } = error.details;
      assert.equal(`${error.message} ${hint}`, message);
      assert.deepEqual(listing(root), before);
    });
  }

  test("options that are missing, or no options at all", async () => {
    const calls = [
      ...[applyDelta, planMerge, makeDelta, planDelta, compareModels, inspectModel, verifyTarget],
      ...[uploadModel, checkUpload],
    ];
    for (const call of calls as ((options: unknown) => Promise<unknown>)[]) {
      assert.match((await refusal(() => call({}), "bad-usage")).message, /^Missing /);
      for (const none of [undefined, null, "base"]) await refusal(() => call(none), "bad-usage");
    }
  });
});
