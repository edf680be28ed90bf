/**
 * The package as users get it: packed, installed globally into an empty prefix by the real npm, and run. The registry is
 * on loopback and has the packages of node_modules; `npm run test:install` does the same with the real one.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { projectPath } from "../support/fixture-path.js";
import {
  type Ended,
  environmentFor,
  installedDependencies,
  NO_REGISTRY,
  openRegistry,
  pack,
  type Registry,
  runNpm,
  runProgram,
  type Tarball,
} from "../support/npm.js";
import { parsePlainYaml } from "../support/plain-yaml.js";

const MAX_TARBALL_BYTES = 1_000_000;

/** Everything that may be in the package. */
const PATTERNS = [
  /^(?:LICENSE|README\.md|package\.json)$/,
  /^bin\/vicuna-apply-delta\.js$/,
  /^dist\/src\/(?:[a-z0-9-]+\/)*[a-z0-9-]+\.(?:js|d\.ts)$/,
  /^dist\/src\/kernel\/simd\.wasm$/,
  /^docs\/[a-z-]+\.md$/,
  /^docs\/schemas\/[a-z-]+\.json$/,
];

const TINY = projectPath("examples/tiny");
const [BASE, DELTA] = [join(TINY, "base"), join(TINY, "delta")];
const EXPECTED = JSON.parse(readFileSync(join(TINY, "expected.json"), "utf8")) as {
  readonly max_shard_size: string;
  readonly sha256: Record<string, string>;
};
const IN_SHARDS = ["--max-shard-size", EXPECTED.max_shard_size];

const root = realpathSync(mkdtempSync(join(tmpdir(), "vicuna-test-")));
const prefix = join(root, "prefix");
let tarball: Tarball;
let registry: Registry;

/** The programs that are found: those of the prefix, then the usual ones. */
function variables(more: Record<string, string> = {}): Record<string, string | undefined> {
  const path = [join(prefix, "bin"), dirname(process.execPath), process.env.PATH ?? ""].join(delimiter);
  return { ...environmentFor(root, registry.url), PATH: path, HF_HUB_OFFLINE: "1", ...more };
}

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string | undefined> = variables(),
): Promise<Ended> {
  return runProgram(command, args, { cwd, env });
}

function newFolder(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  return folder;
}

function assertTarget(target: string): void {
  for (const [name, digest] of Object.entries(EXPECTED.sha256))
    assert.equal(
      createHash("sha256")
        .update(readFileSync(join(target, name)))
        .digest("hex"),
      digest,
      name,
    );
}

const onWindows = process.platform === "win32" ? "bash and POSIX paths" : false;

describe("the package", { skip: onWindows }, () => {
  before(async () => {
    const folders = installedDependencies();
    const dependencies = await pack(folders, join(root, "packages"), root);
    registry = await openRegistry(dependencies, folders);
    [tarball] = (await pack(["."], join(root, "packed"), root)) as [Tarball];
    await runNpm(
      ["install", "--global", "--prefix", prefix, tarball.path],
      environmentFor(root, registry.url),
    );
  });

  after(() => {
    registry.close();
    rmSync(root, { recursive: true, force: true });
  });

  test("holds what is needed, and nothing else", () => {
    const paths = tarball.files.map(({ path }) => path);
    for (const path of paths)
      assert.ok(
        PATTERNS.some((pattern) => pattern.test(path)),
        path,
      );
    for (const pattern of PATTERNS)
      assert.ok(
        paths.some((path) => pattern.test(path)),
        String(pattern),
      );
    const modules = readdirSync(projectPath("src"), { recursive: true, encoding: "utf8" })
      .map((path) => path.replaceAll("\\", "/"))
      .filter((path) => /(?<!\.d)\.ts$/.test(path) && !path.startsWith("kernel/assembly/"));
    for (const path of modules.map((module) => module.replace(/\.ts$/, "")))
      for (const made of ["js", "d.ts"])
        assert.ok(paths.includes(`dist/src/${path}.${made}`), `${path}.${made}`);
    assert.ok(tarball.size < MAX_TARBALL_BYTES, `${tarball.size} bytes`);
  });

  test("needs no package beside its dependencies", () => {
    assert.deepEqual(registry.missing, []);
    const installed = readdirSync(join(prefix, "lib/node_modules"));
    assert.deepEqual(installed, ["vicuna-apply-delta"]);
    assert.deepEqual(readdirSync(join(prefix, "bin")), ["vicuna-apply-delta"]);
  });

  test("runs the main job", async () => {
    const folder = newFolder("main");
    const args = ["--base", BASE, "--delta", DELTA, "--target", "vicuna", ...IN_SHARDS];
    const { code, stdout, stderr } = await run("vicuna-apply-delta", args, folder);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /39 added/);
    assertTarget(join(folder, "vicuna"));
  });

  test("an install with no registry at hand fails: what is tested is not taken from elsewhere", async () => {
    const args = [
      "install",
      "--global",
      "--prefix",
      join(root, "other"),
      tarball.path,
      "--fetch-retries",
      "0",
    ];
    await assert.rejects(runNpm(args, environmentFor(newFolder("bare"), NO_REGISTRY)), /ECONNREFUSED/);
  });

  describe("examples/merge.sh", () => {
    const merge = (folder: string, words: readonly string[], more?: Record<string, string>) =>
      run(projectPath("examples/merge.sh"), words, folder, variables(more));

    test("makes a target, with checksums, and verifies it", async () => {
      const folder = newFolder("script");
      const { code, stdout, stderr } = await merge(folder, [BASE, DELTA, "vicuna", ...IN_SHARDS]);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      assert.match(stdout, /^vicuna: \d+ bytes of weights, verified\n$/);
      assertTarget(join(folder, "vicuna"));
      const sums = readFileSync(join(folder, "vicuna/SHA256SUMS"), "utf8");
      for (const [name, digest] of Object.entries(EXPECTED.sha256))
        assert.ok(sums.includes(`${digest}  ${name}\n`));
    });

    test("makes nothing that is larger than allowed", async () => {
      const folder = newFolder("large");
      const { code, stderr } = await merge(folder, [BASE, DELTA, "vicuna"], { MAX_BYTES: "1000" });
      assert.equal(code, 6);
      assert.match(stderr, /^vicuna would hold \d+ bytes, more than MAX_BYTES allows\n$/);
      assert.deepEqual(readdirSync(folder), []);
    });

    test("ends with the tool's own exit code and message", async () => {
      const folder = newFolder("wrong");
      const swapped = await merge(folder, [BASE, BASE, "vicuna"]);
      assert.equal(swapped.code, 5);
      assert.match(swapped.stderr, /^error: /);
      assert.equal((await merge(folder, [BASE, "nowhere/at/all", "vicuna"])).code, 3);
      assert.equal((await merge(folder, [BASE, DELTA])).code, 2);
      assert.deepEqual(readdirSync(folder), []);
    });

    test("tries again where the network failed, as often as it is told", async () => {
      const folder = newFolder("tries");
      const bin = newFolder("tries-bin");
      // In the tool's place: no network. And no waiting.
      const calls = join(folder, "calls");
      const tool = `#!/bin/sh\necho call >> ${calls}\necho '{"error":{"code":"no-network"}}'\nexit 3\n`;
      writeFileSync(join(bin, "vicuna-apply-delta"), tool, { mode: 0o755 });
      writeFileSync(join(bin, "sleep"), "#!/bin/sh\n", { mode: 0o755 });
      const path = `${bin}${delimiter}${variables().PATH}`;
      const { code } = await merge(folder, ["a/b", "c/d", "e"], { PATH: path, TRIES: "2" });
      assert.equal(code, 3);
      assert.equal(readFileSync(calls, "utf8"), "call\n".repeat(2));
    });
  });

  describe("examples/github-actions/merge-vicuna.yml", () => {
    interface Step {
      readonly name?: string;
      readonly uses?: string;
      readonly run?: string;
    }
    interface Workflow {
      readonly on: { readonly workflow_dispatch: { readonly inputs: Record<string, unknown> } };
      readonly permissions: Record<string, string>;
      readonly defaults: { readonly run: { readonly shell: string } };
      readonly jobs: {
        readonly merge: { readonly env: Record<string, string>; readonly steps: readonly Step[] };
      };
    }
    const text = readFileSync(projectPath("examples/github-actions/merge-vicuna.yml"), "utf8");
    const workflow = parsePlainYaml(text) as unknown as Workflow;
    const { env, steps } = workflow.jobs.merge;

    test("each step uses an action or runs something, and no value of others gets into a command", () => {
      for (const { uses, run: script } of steps) {
        assert.ok((uses === undefined) !== (script === undefined));
        assert.match(uses ?? "actions/x@v1", /^actions\/[\w-]+@v\d+$/);
        assert.ok(!script?.includes("${{"), script);
      }
      for (const input of text.matchAll(/inputs\.(\w+)/g))
        assert.ok((input[1] ?? "") in workflow.on.workflow_dispatch.inputs, input[0]);
      assert.deepEqual(workflow.permissions, { contents: "read" });
    });

    const elsewhere = process.platform === "linux" ? false : "the workflow runs on Linux";
    test("its commands, in their order, make the target", { skip: elsewhere }, async () => {
      const folder = newFolder("workflow");
      const [summary, other] = [join(root, "step-summary.md"), join(root, "workflow-prefix")];
      const given: Record<string, string> = { PACKAGE: tarball.path, HF_TOKEN: "", BASE, DELTA };
      for (const [name, value] of Object.entries(env)) {
        if (value.startsWith("${{")) assert.ok(name in given, name);
        else given[name] = value;
      }
      const runner = variables({
        ...given,
        GITHUB_STEP_SUMMARY: summary,
        npm_config_prefix: other,
        PATH: [join(other, "bin"), dirname(process.execPath), process.env.PATH ?? ""].join(delimiter),
      });
      assert.equal(workflow.defaults.run.shell, "bash");
      for (const { name, run: script } of steps) {
        if (script === undefined) continue;
        // As a runner runs `shell: bash`.
        const ended = await run(
          "bash",
          ["--noprofile", "--norc", "-eo", "pipefail", "-c", script],
          folder,
          runner,
        );
        assert.equal(ended.code, 0, `${name}: ${ended.stdout}${ended.stderr}`);
      }
      assert.ok(existsSync(join(other, "bin/vicuna-apply-delta")));
      assert.ok(existsSync(join(folder, given.TARGET ?? "", "model.safetensors")));
      const { tensors } = JSON.parse(readFileSync(join(folder, "summary.json"), "utf8")) as {
        tensors: object;
      };
      assert.deepEqual(tensors, { added: 39, copied: 0, grown: 0, dropped: 0 });
      assert.match(readFileSync(summary, "utf8"), /^```\nmerged\n[\s\S]*\nverified\n```\n$/);
    });
  });
});
