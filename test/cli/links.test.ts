/** Links the user put there are the user's: a snapshot in the Hub's cache is a folder of links into its `blobs/`. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { listing, temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const PAIR = tinyPair();

/** `models--owner--name`, as huggingface_hub lays it out. Returns the snapshot. */
function hubCache(root: string, name: string, write: (folder: string) => void): string {
  const repository = join(root, `models--owner--${name}`);
  const snapshot = join(repository, "snapshots", "0123456789abcdef");
  const blobs = join(repository, "blobs");
  write(snapshot);
  mkdirSync(blobs);
  for (const [i, fileName] of readdirSync(snapshot).entries()) {
    const blob = String(i).padStart(40, "0");
    renameSync(join(snapshot, fileName), join(blobs, blob));
    symlinkSync(join("..", "..", "blobs", blob), join(snapshot, fileName));
  }
  return snapshot;
}

test("snapshots of the Hub's cache are a base and a delta like any others", async (context) => {
  const root = temporaryFolder(context);
  const base = hubCache(root, "base", (folder) =>
    writeModel(folder, PAIR.base, { format: "torch", shards: 2 }),
  );
  const delta = hubCache(root, "delta", (folder) => writeModel(folder, PAIR.delta, { shards: 3 }));
  const plain = { base: join(root, "plain-base"), delta: join(root, "plain-delta") };
  writeModel(plain.base, PAIR.base);
  writeModel(plain.delta, PAIR.delta);
  const caches = ["base", "delta"].map((name) => listing(join(root, `models--owner--${name}`)));
  const merge = async (from: { base: string; delta: string }, name: string) => {
    const target = join(root, name);
    const run = await runCli(["--base", from.base, "--delta", from.delta, "--target", target]);
    assert.equal(run.code, 0, run.stderr);
    return target;
  };
  const linked = await merge({ base, delta }, "from-cache");
  const copied = await merge(plain, "from-folders");
  for (const fileName of ["model.safetensors", "config.json", "tokenizer.model"]) {
    assert.ok(readFileSync(join(linked, fileName)).equals(readFileSync(join(copied, fileName))), fileName);
  }
  // The target holds files, not links, and the cache is as it was.
  assert.ok(Object.values(listing(linked)).every((what) => what !== "not a file"));
  assert.deepEqual(
    ["base", "delta"].map((name) => listing(join(root, `models--owner--${name}`))),
    caches,
  );
});

test("a model's folder may be a link itself", async (context) => {
  const root = temporaryFolder(context);
  writeModel(join(root, "real", "base"), PAIR.base);
  writeModel(join(root, "real", "delta"), PAIR.delta, { shards: 2 });
  symlinkSync(join("real", "base"), join(root, "base"));
  symlinkSync(join(root, "real", "delta"), join(root, "delta"));
  const sides = ["--base", join(root, "base"), "--delta", join(root, "delta")];
  const run = await runCli([...sides, "--target", join(root, "target")]);
  assert.equal(run.code, 0, run.stderr);
  const inside = await runCli([...sides, "--target", join(root, "real", "delta", "target")]);
  assert.equal(inside.code, 6, inside.stderr);
});
