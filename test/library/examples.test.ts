/** The examples of examples/library, run as their heads say, on the models of examples/tiny. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { projectPath } from "../support/fixture-path.js";
import { temporaryFolder } from "../support/model-folder.js";

const [base, delta] = [projectPath("examples/tiny/base"), projectPath("examples/tiny/delta")];

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(name: string, ...args: string[]): Promise<Outcome> {
  const words = [projectPath(`examples/library/${name}`), ...args];
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, words)) };
  } catch (error) {
    return error as Outcome;
  }
}

describe("the library's examples", { concurrency: 2 }, () => {
  test("apply.mjs merges, and compare.mjs finds what it made equal to itself and not to the base", async (context) => {
    const root = temporaryFolder(context);
    const target = join(root, "merged");
    const applied = await run("apply.mjs", base, delta, target);
    assert.equal(applied.code, 0, applied.stderr);
    assert.match(applied.stdout, /^.*merged: 39 tensors added\nexact: all [\d,]+ sums/);
    assert.match(applied.stderr, /merging 100%\n[\s\S]*writing checksums 100%\n$/);
    assert.ok(readdirSync(target).includes("SHA256SUMS"));

    const again = join(root, "again");
    assert.equal((await run("apply.mjs", base, delta, again)).code, 0);
    assert.deepEqual(await run("compare.mjs", target, again), {
      code: 0,
      stdout: "equal: 39 tensors, every bit\n",
      stderr: "",
    });
    const different = await run("compare.mjs", target, base);
    assert.equal(different.code, 1);
    assert.match(different.stdout, /^different\n(?:\S+: \d+ elements, by [\d.e-]+ at most\n)+$/);

    assert.equal((await run("apply.mjs", base, delta, target)).code, 0, "done already");
    const refused = await run("apply.mjs", base, delta, root);
    assert.equal(refused.code, 6);
    assert.match(refused.stderr, /^The folder to make exists and isn't empty\.\n {2}file: /);
  });

  test("plan.mjs says what would be made, and makes nothing", async (context) => {
    const root = temporaryFolder(context);
    const { code, stdout, stderr } = await run("plan.mjs", base, delta, join(root, "merged"));
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    assert.match(stdout, /^model-00001-of-00003\.safetensors: \d+ bytes, \d+ tensors\n/);
    assert.match(stdout, /enough room: true\nthe base: exact\n$/);
    assert.deepEqual(readdirSync(root), []);
  });

  test("all of them are run here", () => {
    const source = readFileSync(projectPath("test/library/examples.test.ts"), "utf8");
    for (const name of readdirSync(projectPath("examples/library")))
      assert.ok(source.includes(`run("${name}"`), name);
  });
});
