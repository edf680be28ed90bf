/** A part of `npm run faults`, chosen so that each kind of fault meets operations of every sort. */
import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import { test } from "node:test";
import { temporaryFolder } from "../support/model-folder.js";
import { FAULT_KINDS } from "./fault-kinds.js";
import { type MatrixRow, runMatrix, SCENARIOS, type Scenario } from "./fault-matrix.js";
import { tryCommands, tryLimits } from "./real-limits.js";

const skip = process.platform === "win32" && "needs cp -a and ulimit";

/** A prime, so that the steps fall on other operations from row to row. */
const STRIDE = 37;

const isSurvived = (kind: string) => FAULT_KINDS.find(({ name }) => name === kind)?.isSurvived === true;

test("no run that meets a fault loses anything", { skip }, async (context) => {
  const root = realpathSync(temporaryFolder(context));
  const rows = FAULT_KINDS.map(({ name }, i) => ({
    kind: name,
    scenario: SCENARIOS[i % SCENARIOS.length] as Scenario,
  }));
  const seen: MatrixRow[] = [];
  await runMatrix({ root, rows, stride: STRIDE, first: 5, jobs: 1 }, (row) => seen.push(row));
  assert.equal(seen.length, FAULT_KINDS.length);
  for (const { kind, scenario, wrong, steps, cleanErrors } of seen) {
    assert.deepEqual(wrong, [], `${kind}, ${scenario}`);
    assert.ok(steps > 0, `no operation met ${kind}`);
    if (isSurvived(kind)) assert.equal(cleanErrors, 0, kind);
  }
});

test("limits of the system and threads that die end in an error, and lose nothing", {
  skip,
}, async (context) => {
  for (const { name, wrong } of await tryLimits(realpathSync(temporaryFolder(context))))
    assert.equal(wrong, null, name);
});

test("each command says which limit it meets, or goes on without", {
  skip: process.platform !== "linux" && "other systems count addresses otherwise",
}, async (context) => {
  for (const { name, wrong } of await tryCommands(realpathSync(temporaryFolder(context))))
    assert.equal(wrong, null, name);
});
