/** A run that is killed between any two operations of its publishing, a user who goes on with what is there, a next run. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { isApplyDeltaError } from "../../src/errors.js";
import { openStaging } from "../../src/target/open-staging.js";
import { temporaryFolder } from "../support/model-folder.js";

const CHILD = fileURLToPath(new URL("../support/publishing-child.js", import.meta.url));
const SHARD = "model.safetensors";
const OPTIONS = { fingerprint: { base: "b" }, shards: [SHARD], silentMs: 50 };
const USERS = "notes.txt";

/** Whether a folder is the old target or the new one, whole. */
function isWhole(folder: string): boolean {
  const names = fs
    .readdirSync(folder)
    .filter((name) => !name.startsWith(".vicuna-apply-delta") && name !== USERS);
  const config = fs.readFileSync(join(folder, "config.json"), "utf8");
  return config === "old" ? names.join() === "config.json" : names.sort().join() === `config.json,${SHARD}`;
}

for (const next of ["the same again", "with --overwrite", "another merge"] as const)
  test(`killed anywhere while it publishes; then ${next}`, {
    skip: process.platform === "win32",
  }, async (context) => {
    const root = fs.realpathSync(temporaryFolder(context));
    const target = join(root, "out");
    let kills = 0;
    for (let at = 0; ; at++) {
      for (const name of fs.readdirSync(root)) fs.rmSync(join(root, name), { recursive: true });
      fs.mkdirSync(target);
      fs.writeFileSync(join(target, "config.json"), "old");
      const { signal } = spawnSync(process.execPath, [CHILD, target, `${at}`]);
      if (signal === null) break;
      kills++;
      if (fs.existsSync(target)) {
        assert.ok(isWhole(target), `after ${at} operations`);
        fs.writeFileSync(join(target, USERS), "the user's");
      }
      const wasThere = fs.existsSync(target);
      const fingerprint = next === "another merge" ? { base: "other" } : OPTIONS.fingerprint;
      const overwrite = next === "with --overwrite";
      try {
        (await openStaging(target, { ...OPTIONS, fingerprint, overwrite })).suspend();
      } catch (error) {
        if (!isApplyDeltaError(error, "target-exists")) throw error;
      }
      // Nothing is overwritten before the next run publishes in its turn.
      assert.ok(fs.existsSync(target) && isWhole(target), `the target after ${at} operations`);
      if (wasThere) assert.equal(fs.readFileSync(join(target, USERS), "utf8"), "the user's", `${at}`);
    }
    assert.ok(kills > 10, `${kills} operations`);
  });
