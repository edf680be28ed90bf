/** The package as users get it, packed and installed: what it holds, its main job, the script that merges unattended. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { before, describe, test } from "node:test";
import { projectPath } from "../support/fixture-path.js";
import {
  EXPECTED,
  type InstalledPackage,
  installPackage,
  skipInstalls,
} from "../support/installed-package.js";
import { environmentFor, NO_REGISTRY, runNpm } from "../support/npm.js";

const MAX_TARBALL_BYTES = 1_000_000;

/** Everything that may be in the package. */
const PATTERNS = [
  /^(?:LICENSE|README\.md|package\.json)$/,
  /^bin\/vicuna-apply-delta\.js$/,
  /^dist\/bundle\/(?:LICENSES|simd\.wasm)$/,
  /^dist\/bundle\/[A-Za-z0-9-]+\.js$/,
  /^dist\/src\/(?:[a-z0-9-]+\/)*[a-z0-9-]+\.d\.ts$/,
  /^docs\/[a-z-]+\.md$/,
  /^docs\/schemas\/[a-z-]+\.json$/,
];

const TINY = projectPath("examples/tiny");
const [BASE, DELTA] = [join(TINY, "base"), join(TINY, "delta")];
const IN_SHARDS = ["--max-shard-size", EXPECTED.max_shard_size];

let installed: InstalledPackage;

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

describe("the package", { skip: skipInstalls }, () => {
  before(async () => {
    installed = await installPackage();
  });

  test("holds what is needed, and nothing else", () => {
    const paths = installed.tarball.files.map(({ path }) => path);
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
    for (const path of modules.map((module) => module.replace(/\.ts$/, ".d.ts")))
      assert.ok(paths.includes(`dist/src/${path}`), path);
    assert.ok(installed.tarball.size < MAX_TARBALL_BYTES, `${installed.tarball.size} bytes`);
  });

  test("needs no package beside its dependencies", () => {
    assert.deepEqual(installed.registry.missing, []);
    assert.deepEqual(readdirSync(join(installed.prefix, "lib/node_modules")), ["vicuna-apply-delta"]);
    assert.deepEqual(readdirSync(join(installed.prefix, "bin")), ["vicuna-apply-delta"]);
  });

  test("runs the main job", async () => {
    const folder = installed.newFolder("main");
    // With threads of its own, which such a small model wouldn't have.
    const args = ["--base", BASE, "--delta", DELTA, "--target", "vicuna", ...IN_SHARDS, "--threads", "2"];
    const { code, stdout, stderr } = await installed.run("vicuna-apply-delta", args, folder);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /39 added/);
    assertTarget(join(folder, "vicuna"));
  });

  test("an install with no registry at hand fails: what is tested is not taken from elsewhere", async () => {
    const args = [
      "install",
      "--global",
      "--prefix",
      join(installed.root, "other"),
      installed.tarball.path,
      "--fetch-retries",
      "0",
    ];
    await assert.rejects(
      runNpm(args, environmentFor(installed.newFolder("bare"), NO_REGISTRY)),
      /ECONNREFUSED/,
    );
  });

  describe("examples/merge.sh", () => {
    const merge = (folder: string, words: readonly string[], more?: Record<string, string>) =>
      installed.run(projectPath("examples/merge.sh"), words, folder, installed.variables(more));

    test("makes a target, with checksums, and verifies it", async () => {
      const folder = installed.newFolder("script");
      const { code, stdout, stderr } = await merge(folder, [BASE, DELTA, "vicuna", ...IN_SHARDS]);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      assert.match(stdout, /^vicuna: verified\n$/);
      assertTarget(join(folder, "vicuna"));
      const sums = readFileSync(join(folder, "vicuna/SHA256SUMS"), "utf8");
      for (const [name, digest] of Object.entries(EXPECTED.sha256))
        assert.ok(sums.includes(`${digest}  ${name}\n`));
    });

    test("run again, leaves what is made alone and verifies it", async () => {
      const { code, stdout, stderr } = await merge(join(installed.root, "script"), [
        BASE,
        DELTA,
        "vicuna",
        ...IN_SHARDS,
      ]);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      assert.match(stdout, /^vicuna: verified\n$/);
    });

    test("makes nothing that is larger than allowed", async () => {
      const folder = installed.newFolder("large");
      const { code, stderr } = await merge(folder, [BASE, DELTA, "vicuna"], { MAX_BYTES: "1000" });
      assert.equal(code, 6);
      assert.match(stderr, /^vicuna would hold \d+ bytes, more than MAX_BYTES allows\n$/);
      assert.deepEqual(readdirSync(folder), []);
    });

    test("ends with the tool's own exit code and message", async () => {
      const folder = installed.newFolder("wrong");
      const swapped = await merge(folder, [BASE, BASE, "vicuna"]);
      assert.equal(swapped.code, 5);
      assert.match(swapped.stderr, /^error: /);
      assert.equal((await merge(folder, [BASE, "nowhere/at/all", "vicuna"])).code, 3);
      assert.equal((await merge(folder, [BASE, DELTA])).code, 2);
      assert.deepEqual(readdirSync(folder), []);
    });

    test("tries again where the network failed, as often as it is told", async () => {
      const folder = installed.newFolder("tries");
      const bin = installed.newFolder("tries-bin");
      // In the tool's place: no network. And no waiting.
      const calls = join(folder, "calls");
      const tool = `#!/bin/sh\necho call >> ${calls}\necho '{"error":{"code":"no-network"}}'\nexit 3\n`;
      writeFileSync(join(bin, "vicuna-apply-delta"), tool, { mode: 0o755 });
      writeFileSync(join(bin, "sleep"), "#!/bin/sh\n", { mode: 0o755 });
      const path = `${bin}${delimiter}${installed.variables().PATH}`;
      const { code } = await merge(folder, ["a/b", "c/d", "e"], { PATH: path, TRIES: "2" });
      assert.equal(code, 3);
      assert.equal(readFileSync(calls, "utf8"), "call\n".repeat(2));
    });
  });
});
