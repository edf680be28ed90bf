/** `compare` as its users run it: exit codes, what stands on stdout and what on stderr. */
import assert from "node:assert/strict";
import { truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { Comparison } from "../../src/compare/documents.js";
import { floats, temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const PAIR = tinyPair();
const NORM = "model.norm.weight";

/** Models a, b (equal) and c (one value off by 0.5), and how to compare them. */
function place(context: TestContext) {
  const root = temporaryFolder(context);
  const norm = (value: number) => floats(NORM, "F16", [32], [value, ...new Array<number>(31).fill(1)]);
  const withNorm = (value: number) => PAIR.tuned.map((old) => (old.name === NORM ? norm(value) : old));
  writeModel(join(root, "a"), withNorm(1));
  writeModel(join(root, "b"), withNorm(1), { format: "torch", shards: 2 });
  writeModel(join(root, "c"), withNorm(1.5));
  return { root, run: (...args: string[]) => runCli(["compare", ...args], { cwd: root }) };
}

describe("compare", { concurrency: 3 }, () => {
  test("equal: exit 0, the verdict on the first line, nothing on stderr", async (t) => {
    const { code, stdout, stderr } = await place(t).run("a", "b");
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    assert.match(
      stdout,
      /^equal: 21 tensors, every bit; config and tokenizer too\n {2}a {2}a\n {2}b {2}b\n\n {2}21 tensors /,
    );
  });

  test("different: exit 7, which and where", async (t) => {
    const { code, stdout, stderr } = await place(t).run("a", "c");
    assert.deepEqual([code, stderr], [7, ""]);
    assert.match(stdout, /^different: 1 of 21 tensors, 1 of 24,\d{3} elements\n/);
    assert.match(stdout, /^ {2}model\.norm\.weight {2}F16 {4}1 of 32 {2}0\.5 {10}\[0\] {2}0\.333$/m);
  });

  test("--tolerance and --relative-tolerance", async (t) => {
    const { run } = place(t);
    const within = await run("a", "c", "--tolerance", "0.5");
    assert.equal(within.code, 0);
    assert.match(
      within.stdout,
      /^equal within 0\.5: 21 tensors, 20 of them in every bit; config and tokenizer too\n/,
    );
    assert.equal((await run("a", "c", "--tolerance", "0.49")).code, 7);
    assert.equal((await run("a", "c", "--relative-tolerance", "0.34")).code, 0);
  });

  test("--json is one document with either verdict", async (t) => {
    const { run } = place(t);
    const equal = await run("a", "b", "--json");
    assert.deepEqual([equal.code, equal.stderr], [0, ""]);
    assert.equal((JSON.parse(equal.stdout) as Comparison).isEqual, true);
    const different = await run("a", "c", "--json", "--weights-only");
    assert.equal(different.code, 7);
    const { seconds, threads, elements, ...document } = JSON.parse(different.stdout) as Comparison;
    assert.ok(seconds > 0 && threads >= 1 && elements > 0);
    const largest = { index: [0], a: 1, b: 1.5 };
    assert.deepEqual(document, {
      a: "a",
      b: "c",
      isEqual: false,
      tolerance: null,
      tensors: { compared: 21, equalBits: 20, withinTolerance: 0, different: 1 },
      differing: [
        {
          name: NORM,
          shape: [32],
          dtypes: { a: "F16", b: "F16" },
          elements: 32,
          differentBits: 1,
          differentValues: 1,
          beyondTolerance: 1,
          notFinite: 0,
          first: [0],
          largestAbsolute: { difference: 0.5, ...largest },
          largestRelative: { difference: 0.5 / 1.5, ...largest },
          isWithinTolerance: false,
        },
      ],
      onlyInA: [],
      onlyInB: [],
      otherShapes: [],
      otherDTypes: [],
      files: null,
      notes: [],
      hints: [],
    });
  });

  test("--quiet says it with the exit code alone", async (t) => {
    const { run } = place(t);
    assert.deepEqual(await run("a", "c", "--quiet"), { code: 7, signal: null, stdout: "", stderr: "" });
    assert.deepEqual(await run("a", "b", "--quiet"), { code: 0, signal: null, stdout: "", stderr: "" });
  });

  test("usage: exit 2", async (t) => {
    const { run } = place(t);
    for (const [args, says] of [
      [["a"], "Missing <b>."],
      [["a", "b", "c"], "Unexpected word: c."],
      [["a", ""], "Is a variable of the shell not set?"],
      [["a", "b", "--tolerance", "-1"], "a number of at least 0"],
      [["a", "b", "--tolerance", "Infinity"], "a number of at least 0"],
      [["a", "b", "--relative-tolerance", "x"], "a number of at least 0"],
      [["a", "a"], "Both are the same model."],
    ] as const) {
      const { code, stdout, stderr } = await run(...args);
      assert.deepEqual([code, stdout], [2, ""], args.join(" "));
      assert.ok(stderr.startsWith("error: ") && stderr.includes(says), stderr);
    }
  });

  test("a side that is missing: exit 3; that is no model, or a broken one: exit 4", async (t) => {
    const { root, run } = place(t);
    const missing = await run("a", "nothing", "--json");
    assert.equal(missing.code, 3);
    assert.equal((JSON.parse(missing.stdout) as { error: { code: string } }).error.code, "source-not-found");
    assert.equal((await run(".", "b")).code, 4);
    truncateSync(join(root, "c", "model.safetensors"), 5000);
    const broken = await run("a", "c");
    assert.deepEqual([broken.code, broken.stdout], [4, ""]);
  });
});
