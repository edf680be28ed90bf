/** Links, FIFOs and other people's files in a shared cache, where a file of ours belongs. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { RepositoryCache } from "../../src/hub/cache.js";
import { hubRun, REPOSITORY, randomRepository } from "../support/hub-run.js";
import { sha256 } from "../support/hub-server.js";
import { refusal } from "../support/refusal.js";

async function place(context: TestContext) {
  const repository = randomRepository(100_000);
  const run = await hubRun(context, repository);
  const cache = new RepositoryCache(run.cacheFolder, REPOSITORY);
  const blob = cache.blobPath(sha256(repository.weights));
  const victim = join(run.root, "victim");
  writeFileSync(victim, "mine");
  for (const folder of [dirname(blob), join(cache.folder, "refs")]) mkdirSync(folder, { recursive: true });
  return { run, cache, blob, victim };
}

describe("in a shared cache, the file that a planted name leads to stays as it is:", {
  concurrency: 2,
}, () => {
  for (const plant of [symlinkSync, linkSync]) {
    test(`the bytes under way, by ${plant.name}`, async (context) => {
      const { run, blob, victim } = await place(context);
      plant(victim, `${blob}.ranges.part`);
      await refusal(() => run.fetch(), "cache-unwritable", { file: /ranges\.part$/ });
      assert.equal(readFileSync(victim, "utf8"), "mine");
    });

    test(`the note and the ref, by ${plant.name}`, async (context) => {
      const { run, cache, blob, victim } = await place(context);
      for (const path of [
        `${blob}.ranges.json`,
        `${blob}.ranges.json.new`,
        join(cache.folder, "refs", "main"),
      ])
        plant(victim, path);
      await run.fetch();
      assert.equal(readFileSync(victim, "utf8"), "mine");
    });
  }
});

test("a FIFO in the place of a ref, a note or a token is waited for by nobody", async (context) => {
  const { run, cache, blob } = await place(context);
  const token = join(run.root, "token");
  for (const path of [join(cache.folder, "refs", "main"), `${blob}.ranges.json`, token])
    execFileSync("mkfifo", [path]);
  assert.equal(cache.readRef("main"), null);
  await run.fetch({ tokenFile: token });
});
