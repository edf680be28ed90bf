/** The pods of examples/kubernetes/merge-job.yaml, played on this machine: its words, its variable, all at once. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { PartSummary } from "../../src/apply/documents.js";
import { contents } from "../faults/small-merge.js";
import { projectPath } from "../support/fixture-path.js";
import { temporaryFolder, tinyPair, tinyShapes, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

interface Job {
  readonly spec: {
    readonly completions: number;
    readonly completionMode: string;
    readonly podFailurePolicy: {
      readonly rules: readonly { action: string; onExitCodes?: { values: number[] } }[];
    };
    readonly template: { readonly spec: { readonly containers: readonly { readonly args: string[] }[] } };
  };
}

const TO_JSON = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
const path = projectPath("examples/kubernetes/merge-job.yaml");
const python = process.env.PYTHON ?? "python3";
const { spec } = JSON.parse(execFileSync(python, ["-c", TO_JSON, path], { encoding: "utf8" })) as Job;

test("every pod's part is made, and one completes the target", async (context) => {
  const root = realpathSync(temporaryFolder(context));
  const pair = tinyPair(6, tinyShapes(512, 128, 6));
  const base = writeModel(join(root, "llama-65b"), pair.base, { shards: 2 });
  const delta = writeModel(join(root, "delta"), pair.delta);
  const size = ["--max-shard-size", "300KB"];
  const single = join(root, "single", "out");
  const whole = await runCli(["--base", base, "--delta", delta, "--target", single, ...size]);
  assert.equal(whole.code, 0, whole.stderr);

  const args = (spec.template.spec.containers[0]?.args ?? []).map((word) => word.replace("/models", root));
  assert.ok(args.includes(`--part=kubernetes/${spec.completions}`));
  const pods = Array.from({ length: spec.completions }, (_, index) => ({
    JOB_COMPLETION_INDEX: String(index),
  }));
  const results = await Promise.all(pods.map((env) => runCli([...args, ...size, "--json"], { env })));
  for (const { code, stderr } of results) assert.equal(code, 0, stderr);
  const completed = results.filter(({ stdout }) => (JSON.parse(stdout) as PartSummary).merge !== null);
  assert.equal(completed.length, 1);
  assert.deepEqual(contents(join(root, "out")), contents(single));
});

test("the job ignores 75, and gives up on codes that another try can't change", () => {
  const { rules } = spec.podFailurePolicy;
  const codesOf = (action: string) =>
    rules.filter((rule) => rule.action === action).flatMap(({ onExitCodes }) => onExitCodes?.values ?? []);
  assert.deepEqual(codesOf("Ignore"), [75]);
  assert.deepEqual(codesOf("FailJob"), [2, 4, 5, 7]);
  assert.equal(spec.completionMode, "Indexed");
});
