/** Meta's files on the Hub: in the folder `original/` beside whatever else, or in the top folder; downloaded, streamed, cached. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ApplyDeltaOptions, applyDelta } from "../../src/apply/apply-delta.js";
import { filesIn, QUICK } from "../support/hub-run.js";
import { type HubServer, startHub } from "../support/hub-server.js";
import { type MetaSides, sidesOf } from "../support/meta-sides.js";
import { refusal } from "../support/refusal.js";
import { assertNoWeightsIn, assertSameTarget, BASE, DELTA } from "../support/stream-run.js";

interface Run extends MetaSides {
  readonly hub: HubServer;
  readonly cacheFolder: string;
  /** Merges into a folder of that name; what isn't said otherwise is read from the Hub. */
  apply(
    target: string,
    options?: Partial<ApplyDeltaOptions> & { readonly stream?: boolean; readonly offline?: boolean },
  ): Promise<string>;
}

/** A Hub whose base repository has Meta's files in `folder`; "" is the top folder. */
async function runOf(context: TestContext, folder: string): Promise<Run> {
  const sides = sidesOf(context, "files-4", "files");
  const inFolder = Object.entries(filesIn(sides.meta)).map(([name, bytes]) => [join(folder, name), bytes]);
  const hub = await startHub(
    {
      [BASE]: {
        files: { "README.md": Buffer.from("---\nlicense: other\n---\n"), ...Object.fromEntries(inFolder) },
      },
      [DELTA]: { files: filesIn(sides.delta) },
    },
    context,
  );
  const cacheFolder = join(sides.root, "hub");
  return {
    ...sides,
    hub,
    cacheFolder,
    async apply(name, { stream = false, offline = false, ...options } = {}) {
      const target = join(sides.root, name);
      const reach = { endpoint: hub.url, cacheFolder, tokenFile: null, transfer: QUICK };
      await applyDelta({ base: BASE, delta: DELTA, target, hub: { ...reach, stream, offline }, ...options });
      return target;
    },
  };
}

for (const [title, folder] of [
  ["in original/", "original"],
  ["in the top folder", ""],
] as const) {
  test(`weights ${title}: downloaded, then from the cache, and streamed`, async (context) => {
    const run = await runOf(context, folder);
    const expected = join(run.root, "expected");
    await applyDelta({ base: run.meta, delta: run.delta, target: expected });
    assertSameTarget(await run.apply("streamed", { stream: true }), expected);
    assertNoWeightsIn(run.cacheFolder);
    assertSameTarget(await run.apply("downloaded"), expected);
    const asked = run.hub.requests.length;
    assertSameTarget(await run.apply("cached", { offline: true }), expected);
    assert.equal(run.hub.requests.length, asked);
    const snapshots = join(run.cacheFolder, "models--owner--base", "snapshots");
    const snapshot = join(snapshots, readdirSync(snapshots)[0] ?? "", folder);
    for (const name of ["params.json", "checklist.chk"]) assert.ok(existsSync(join(snapshot, name)), name);
  });
}

test("a repository that has converted weights, too, is read as before", async (context) => {
  const run = await runOf(context, "original");
  const { files } = run.hub.repositories[BASE] ?? assert.fail();
  Object.assign(files, filesIn(run.base));
  await run.apply("target", { stream: true });
  assert.ok(!run.hub.requests.some(({ url }) => /original|consolidated/.test(url)));
});

test("a file of the series that the repository lacks is an error before anything is downloaded", async (context) => {
  const run = await runOf(context, "original");
  const { files } = run.hub.repositories[BASE] ?? assert.fail();
  delete (files as Record<string, Buffer>)["original/consolidated.02.pth"];
  await refusal(() => run.apply("target"), "shard-missing", { file: /original.consolidated\.02\.pth$/ });
  assert.equal(run.hub.contentRequests().length, 0);
});

test("as a delta it is refused before anything is downloaded", async (context) => {
  const run = await runOf(context, "original");
  await refusal(() => run.apply("target", { base: run.base, delta: BASE }), "not-a-delta", {
    file: BASE,
    got: /consolidated\.00\.pth/,
  });
  assert.equal(run.hub.contentRequests().length, 0);
});
