/** The library leaves the process as it was: looked at from inside, by a process that holds nothing else. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { tinyRepositories } from "../support/hub-run.js";
import { startHub } from "../support/hub-server.js";
import { temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import type { Effects } from "./effects-child.js";

const CHILD = fileURLToPath(new URL("./effects-child.js", import.meta.url));

/** A process that doesn't end by itself is ended, and the test fails. */
const PATIENCE_MS = 120_000;

test("a call changes nothing of the process, prints nothing and leaves nothing open", async (context) => {
  const root = temporaryFolder(context);
  const pair = tinyPair();
  writeModel(join(root, "base"), pair.base);
  writeModel(join(root, "delta"), pair.delta, { format: "torch", shards: 2 });
  const repositories = {
    "owner/model": tinyRepositories(join(root, "repositories")).base,
  };
  const hub = await startHub(repositories, context);
  // Of weights, so that there is time to stop.
  hub.fault = ({ at }) => (at === "content" ? { kind: "throttle", bytesPerSecond: 100_000 } : undefined);
  const report = join(root, "report.json");
  const child = spawn(process.execPath, [CHILD, root, hub.url, report], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: PATIENCE_MS,
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (printed += chunk));
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on("error", reject).on("close", (...ended) => resolve(ended));
  });
  assert.deepEqual({ printed, code, signal }, { printed: "", code: 0, signal: null });
  const effects = JSON.parse(readFileSync(report, "utf8")) as Effects[];
  assert.deepEqual(Object.fromEntries(effects.map(({ call, ended }) => [call, ended])), {
    planMerge: "done",
    applyDelta: "done",
    planDelta: "done",
    makeDelta: "done",
    compareModels: "done",
    inspectModel: "done",
    verifyTarget: "done",
    listReleases: "done",
    "inspectModel of a model on the Hub": "done",
    "applyDelta, stopped": "interrupted",
    "applyDelta, stopped while it downloads": "interrupted",
    "applyDelta to a target that exists": "target-exists",
    "applyDelta of nothing": "source-not-found",
    "applyDelta with an odd option": "bad-usage",
    checkUpload: "done",
    uploadModel: "done",
    "uploadModel, stopped": "interrupted",
  });
  for (const { call, changes, read } of effects) {
    assert.deepEqual(changes, [], call);
    assert.deepEqual(read, [], `${call} reads the environment`);
  }
});
