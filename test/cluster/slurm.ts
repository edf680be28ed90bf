/** Job arrays of a real Slurm, which test/cluster/run.sh starts: each makes the very files of a single run. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import { delimiter, join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { contents } from "../faults/small-merge.js";
import { projectPath } from "../support/fixture-path.js";
import { temporaryFolder, tinyPair, tinyShapes, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const run = promisify(execFile);
const SIZE = ["--max-shard-size", "500KB"];

/** A pair that takes a moment, the scripts of the examples beside it, and the program on the path. */
async function place(context: TestContext) {
  const root = fs.realpathSync(temporaryFolder(context));
  const bin = join(root, "bin");
  fs.mkdirSync(bin);
  const program = projectPath("bin/vicuna-apply-delta.js");
  // A task that is to be killed waits until it is.
  const script = `#!/bin/sh
echo "$SLURM_ARRAY_TASK_ID $SLURM_RESTART_COUNT $*" >> ${root}/log
if [ -e ${root}/hold ] && [ "$SLURM_ARRAY_TASK_ID" = 2 ]; then touch ${root}/held; sleep 60; fi
if [ -e ${root}/fail ] && [ "$SLURM_ARRAY_TASK_ID" = 3 ]; then exit 3; fi
if [ "$1" = finish ]; then exec ${process.execPath} ${program} "$@"; fi
exec ${process.execPath} ${program} "$@" ${SIZE.join(" ")}
`;
  fs.writeFileSync(join(bin, "vicuna-apply-delta"), script, { mode: 0o755 });
  for (const name of ["merge.sbatch", "finish.sbatch", "merge-many.sbatch"])
    fs.copyFileSync(projectPath(`examples/slurm/${name}`), join(root, name));
  const pair = tinyPair(5, tinyShapes(512, 128, 6));
  const env = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    BASE: writeModel(join(root, "base"), pair.base, { shards: 2 }),
    DELTA: writeModel(join(root, "delta"), pair.delta, { format: "torch" }),
    TARGET: join(root, "made"),
  };
  const single = join(root, "single", "made");
  const words = ["--base", env.BASE, "--delta", env.DELTA, ...SIZE];
  const whole = await runCli([...words, "--target", single]);
  assert.equal(whole.code, 0, whole.stderr);
  const submit = async (...more: string[]) => {
    const { stdout } = await run("sbatch", ["--parsable", ...more], { cwd: root, env });
    return stdout.trim();
  };
  const assertComplete = () => {
    assert.deepEqual(contents(env.TARGET), contents(single), logs(root));
    assert.ok(!fs.existsSync(`${env.TARGET}.incomplete`));
  };
  return { root, env, submit, assertComplete };
}

function logs(root: string): string {
  const outputs = fs.readdirSync(root).filter((name) => name.startsWith("slurm-"));
  return outputs.map((name) => `${name}:\n${fs.readFileSync(join(root, name), "utf8")}`).join("\n");
}

/** Waits until a job has left the queue. */
async function ended(job: string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const { stdout } = await run("squeue", ["--noheader", "--jobs", job]).catch(() => ({ stdout: "" }));
    if (stdout.trim() === "") return;
    await sleep(200);
  }
  assert.fail(`job ${job} goes on`);
}

async function states(job: string): Promise<string[]> {
  const { stdout } = await run("scontrol", ["--oneliner", "show", "job", job]);
  return [...stdout.matchAll(/ JobState=(\w+) /g)].map(([, state = ""]) => state);
}

test("four tasks of an array make the target, and the dependent job finds it complete", async (context) => {
  const { root, submit, assertComplete } = await place(context);
  const job = await submit("--array=1-4", "merge.sbatch");
  const finish = await submit(`--dependency=afterany:${job}`, "finish.sbatch");
  await ended(finish);
  assertComplete();
  assert.deepEqual(await states(finish), ["COMPLETED"], logs(root));
  assert.deepEqual(new Set(await states(job)), new Set(["COMPLETED"]), logs(root));
});

test("a task that is killed and requeued goes on", async (context) => {
  const { root, submit, assertComplete } = await place(context);
  fs.writeFileSync(join(root, "hold"), "");
  const job = await submit("--array=0-3", "merge.sbatch");
  while (!fs.existsSync(join(root, "held"))) await sleep(100);
  // The others are made meanwhile.
  await sleep(3000);
  await run("rm", [join(root, "hold")]);
  await run("scancel", ["--signal=KILL", "--full", `${job}_2`]).catch(() => {});
  await run("scontrol", ["requeue", `${job}_2`]).catch(() => {});
  // Slurm would wait two minutes.
  await run("scontrol", ["update", `JobId=${job}_2`, "StartTime=now"]).catch(() => {});
  await ended(job);
  assertComplete();
  assert.match(fs.readFileSync(join(root, "log"), "utf8"), /^2 [1-9]/m, "the task ran again");
});

test("a task that fails for good leaves a target that the next submission completes", async (context) => {
  const { root, submit, assertComplete, env } = await place(context);
  fs.writeFileSync(join(root, "fail"), "");
  const job = await submit("--array=1-4", "merge.sbatch");
  const finish = await submit(`--dependency=afterany:${job}`, "finish.sbatch");
  await ended(finish);
  assert.ok((await states(job)).includes("FAILED"));
  assert.deepEqual(await states(finish), ["FAILED"]);
  assert.match(logs(root), /shards aren't made yet/);
  assert.ok(!fs.existsSync(env.TARGET));
  await run("rm", [join(root, "fail")]);
  await ended(await submit("--array=1-4", "merge.sbatch"));
  assertComplete();
});

test("many deltas on one base: a task for each", async (context) => {
  const { root, env, submit } = await place(context);
  const targets = ["a", "b", "c"].map((name) => join(root, name));
  fs.writeFileSync(join(root, "deltas.txt"), targets.map((target) => `${env.DELTA} ${target}\n`).join(""));
  await ended(await submit("--array=1-3%2", "--export=ALL,DELTAS=deltas.txt", "merge-many.sbatch"));
  for (const target of targets) assert.ok(fs.existsSync(join(target, "config.json")), logs(root));
});
