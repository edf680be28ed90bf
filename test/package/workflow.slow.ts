/** The example workflow, its steps run as a hosted runner runs them, with the package installed and a Hub on loopback. */
import assert from "node:assert/strict";
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { projectPath } from "../support/fixture-path.js";
import { filesIn, tinyRepositories } from "../support/hub-run.js";
import { type HubServer, startHub } from "../support/hub-server.js";
import {
  type InstalledPackage,
  installPackage,
  pathWith,
  skipInstalls,
} from "../support/installed-package.js";
import { parsePlainYaml } from "../support/plain-yaml.js";
import { BASE_NAME, DELTA_NAME, writeBoth } from "../support/vicuna-folders.js";

/** The disk of GitHub's standard runners (https://docs.github.com/actions/reference/runners/github-hosted-runners). */
const RUNNER_BYTES = 14e9;

interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
}
interface Workflow {
  readonly on: {
    readonly workflow_dispatch: { readonly inputs: Record<string, { readonly default: string }> };
  };
  readonly permissions: Record<string, string>;
  readonly defaults: { readonly run: { readonly shell: string } };
  readonly jobs: {
    readonly merge: { readonly env: Record<string, string>; readonly steps: readonly Step[] };
  };
}

const text = readFileSync(projectPath("examples/github-actions/merge-vicuna.yml"), "utf8");
const workflow = parsePlainYaml(text) as unknown as Workflow;
const { env, steps } = workflow.jobs.merge;
const inputs = workflow.on.workflow_dispatch.inputs;
const BASE = inputs.base?.default ?? "";
const DELTA = inputs.delta?.default ?? "";

test("each step uses an action or runs something, and no value of others gets into a command", () => {
  for (const { uses, run: script } of steps) {
    assert.ok((uses === undefined) !== (script === undefined));
    assert.match(uses ?? "actions/x@v1", /^actions\/[\w-]+@v\d+$/);
    assert.ok(!script?.includes("${{"), script);
  }
  for (const input of text.matchAll(/inputs\.(\w+)/g)) assert.ok((input[1] ?? "") in inputs, input[0]);
  assert.deepEqual(workflow.permissions, { contents: "read" });
  assert.equal(workflow.defaults.run.shell, "bash");
});

const skip = process.platform === "linux" ? skipInstalls : "the workflow runs on Linux";

describe("on a runner", { skip }, () => {
  let installed: InstalledPackage;

  before(async () => {
    installed = await installPackage();
  });

  /** The variables of a job: those of the workflow, with what GitHub puts into them. */
  function jobVariables(folder: string, hub: HubServer): Record<string, string | undefined> {
    const given: Record<string, string> = { PACKAGE: installed.tarball.path, HF_TOKEN: "", BASE, DELTA };
    for (const [name, value] of Object.entries(env)) {
      if (value.startsWith("${{")) assert.ok(name in given, name);
      else given[name] = value;
    }
    return installed.variables({
      ...given,
      HF_ENDPOINT: hub.url,
      HF_HOME: join(folder, "huggingface"),
      HF_HUB_OFFLINE: undefined,
      GITHUB_STEP_SUMMARY: join(folder, "step-summary.md"),
      npm_config_prefix: join(folder, "npm"),
      PATH: pathWith(join(folder, "npm/bin")),
    });
  }

  /** As a runner runs `shell: bash`. */
  const runStep = (script: string, folder: string, variables: Record<string, string | undefined>) =>
    installed.run("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", script], folder, variables);

  /** Runs the steps, up to and with the named one. */
  async function runSteps(folder: string, hub: HubServer, last?: string): Promise<void> {
    const variables = jobVariables(folder, hub);
    for (const { name, run: script } of steps) {
      if (script === undefined) continue;
      const { code, stdout, stderr } = await runStep(script, folder, variables);
      assert.equal(code, 0, `${name}: ${stdout}${stderr}`);
      if (name === last) return;
    }
  }

  test("its commands, in their order, make the target, and download no weights", async (context) => {
    const folder = installed.newFolder("job");
    const { base, delta } = tinyRepositories(installed.newFolder("tiny"));
    await runSteps(folder, await startHub({ [BASE]: base, [DELTA]: delta }, context));
    assert.ok(existsSync(join(folder, "npm/bin/vicuna-apply-delta")));
    assert.ok(existsSync(join(folder, env.TARGET ?? "", "model.safetensors")));
    const downloaded = readdirSync(join(folder, "huggingface"), { recursive: true, encoding: "utf8" });
    assert.deepEqual(
      downloaded.filter((path) => /\.(?:safetensors|bin)$/.test(path)),
      [],
    );
    const summary = JSON.parse(readFileSync(join(folder, "summary.json"), "utf8")) as { tensors: object };
    assert.deepEqual(summary.tensors, { added: 21, copied: 0, grown: 0, dropped: 0 });
    const report = readFileSync(join(folder, "step-summary.md"), "utf8");
    assert.match(report, /^```\nmerged\n[\s\S]*\nverified\n```\n$/);
  });

  test("a 7B model fits a hosted runner's disk, by its plan and what the cache holds", async (context) => {
    const folder = installed.newFolder("runner");
    const models = installed.newFolder("models");
    writeBoth(models);
    const repository = (name: string) => ({ files: filesIn(join(models, name)) });
    const hub = await startHub({ [BASE]: repository(BASE_NAME), [DELTA]: repository(DELTA_NAME) }, context);
    await runSteps(folder, hub, "Plan");
    const plan = steps.find(({ name }) => name === "Plan")?.run?.trim();
    const { code, stdout, stderr } = await runStep(`${plan} --json`, folder, jobVariables(folder, hub));
    assert.equal(code, 0, stderr);
    const { bytesToWrite } = JSON.parse(stdout) as { bytesToWrite: number };
    assert.ok(bytesToWrite > 13.4e9, `${bytesToWrite}`);
    assert.ok(bytesToWrite + bytesIn(join(folder, "huggingface")) < RUNNER_BYTES, `${bytesToWrite}`);
  });
});

/** Of all files below a folder; a link counts as none. */
function bytesIn(folder: string): number {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const stats = paths.map((path) => lstatSync(join(folder, path)));
  return stats.reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);
}
