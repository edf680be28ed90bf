/** What callbacks hear of a call, and what becomes of a callback that throws. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  type ApplyDeltaOptions,
  applyDelta,
  type CallOptions,
  compareModels,
  makeDelta,
  type ProgressUpdate,
  uploadModel,
  verifyTarget,
} from "../../src/index.js";
import { QUICK, tinyRepositories } from "../support/hub-run.js";
import { startHub } from "../support/hub-server.js";
import { place } from "../support/library-place.js";
import { uploadRun } from "../support/upload-run.js";

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
    let isHealthy = true;
    hub.fault = ({ at, range }) => {
      if (isHealthy || at !== "content" || (range?.[1] ?? 0) < 1_000) return undefined;
      isHealthy = true;
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
          reporter: {
            warn: (text) => void warnings.push(text),
            note: (text) => {
              if (text.startsWith("downloading")) isHealthy = false;
            },
          },
        }),
      ),
    );
    assert.match(warnings.join(), /arrived damaged; downloading it once more/);
    assert.deepEqual([...activities.keys()], ["sampling", "downloading", "merging"]);
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

describe("what a callback throws", { concurrency: 2 }, () => {
  const boom = new Error("boom");
  const fail = () => {
    throw boom;
  };
  const failLater = async () => fail();
  const atTheEnd = (callback: () => unknown): Partial<ApplyDeltaOptions> => {
    let isMerged = false;
    return {
      onProgress: ({ bytesDone, bytesTotal }) => {
        isMerged = bytesDone === bytesTotal;
      },
      reporter: { progressDone: () => (isMerged ? callback() : undefined) as undefined },
    };
  };
  const callbacks: Record<string, Partial<ApplyDeltaOptions>> = {
    "reporter.progressDone": { reporter: { progressDone: fail } },
    "the last progressDone": atTheEnd(fail),
    "a promise of the last progressDone": atTheEnd(failLater),
    "a promise of onProgress": { onProgress: failLater },
    "a promise of reporter.detail": { reporter: { detail: failLater } },
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
