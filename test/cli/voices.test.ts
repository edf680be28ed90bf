/** What goes to stdout and stderr, quiet, verbose, coloured or as a document. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";
import { PAIR, place } from "../support/tiny-merge.js";

describe("the voices", { concurrency: 3 }, () => {
  // config.json says 64 rows and float16, so a bfloat16 target is worth a note.
  test("a note goes to stderr, the summary to stdout", async (context) => {
    const { stdout, stderr } = await place(context).run("--dtype", "bfloat16");
    assert.equal(stderr, "config.json: torch_dtype set to bfloat16 to match the tensors.\n");
    assert.match(stdout, /21 added/);
  });

  test("--quiet keeps errors and warnings only", async (context) => {
    const { root, run } = place(context);
    const { stdout, stderr, code } = await run("--dtype", "bfloat16", "--quiet");
    assert.deepEqual({ stdout, stderr, code }, { stdout: "", stderr: "", code: 0 });
    assert.match((await run("--quiet")).stderr, /^error: The folder to make exists/);
    const zero = writeModel(
      join(root, "zero"),
      PAIR.delta.map((tensor) => ({ ...tensor, bytes: new Uint8Array(tensor.bytes.length) })),
    );
    const warned = await runCli(["--base", "base", "--delta", zero, "--target", "other", "--quiet"], {
      cwd: root,
    });
    assert.match(warned.stderr, /^warning: the delta is all zeros: the target will equal the base\.?\n$/);
    assert.equal(warned.code, 0);
  });

  test("--verbose tells what was read, and gives an error its stack", async (context) => {
    const { run } = place(context);
    const { stderr } = await run("--verbose");
    assert.match(stderr, /^base: base \(safetensors, 1 file, 21 tensors\)$/m);
    assert.match(stderr, /^delta: delta \(PyTorch \.bin, 2 files, 21 tensors\)$/m);
    assert.match(stderr, /^exact: all [\d,]+ sums/m);
    const failed = await run("--verbose", "--dtype", "float32");
    assert.equal(failed.code, 6);
    assert.match(failed.stderr, /what now: .*\n(.*\n)* {4}at /);
  });

  test("colours only where they are wanted, and never in a document", async (context) => {
    const { root } = place(context);
    const options = ["--base", "base", "--delta", "delta", "--target"];
    const run = (target: string, env: Record<string, string>, ...more: string[]) =>
      runCli([...options, target, ...more], { cwd: root, env });
    const painted = await run("a", { FORCE_COLOR: "1" });
    assert.ok(painted.stdout.startsWith(`\u001b[1m${join(root, "a")}\u001b[0m\n`), painted.stdout);
    const again = await run("a", { FORCE_COLOR: "1" }, "--json", "--dtype", "float32");
    assert.ok(again.stderr.startsWith("\u001b[1;31merror:\u001b[0m The folder to make exists"), again.stderr);
    const usage = await run("b", { FORCE_COLOR: "1" }, "--threads", "x");
    assert.ok(usage.stderr.startsWith("\u001b[1;31merror:\u001b[0m Invalid --threads"), usage.stderr);
    const document = await run("c", { FORCE_COLOR: "1" }, "--json");
    const plain = [await run("d", {}), await run("e", { FORCE_COLOR: "1", NO_COLOR: "1" })];
    for (const { stdout, code } of [document, ...plain]) {
      assert.equal(code, 0);
      assert.ok(stdout !== "" && !stdout.includes("\u001b"), stdout);
    }
    assert.ok(!again.stdout.includes("\u001b"));
  });

  test("a warning is in the JSON document, too", async (context) => {
    const { run } = place(
      context,
      PAIR.base,
      PAIR.delta.map((tensor) => ({ ...tensor, bytes: new Uint8Array(tensor.bytes.length) })),
    );
    const { stdout, stderr } = await run("--json");
    const { warnings } = JSON.parse(stdout) as { warnings: string[] };
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /^the delta is all zeros: the target will equal the base/);
    assert.equal(stderr, `warning: ${warnings[0]}\n`);
  });

  test("two formats in one folder: which one was read is said", async (context) => {
    const { root, run } = place(context);
    writeModel(join(root, "delta"), PAIR.delta);
    const { stderr } = await run();
    assert.equal(stderr, "delta holds safetensors and PyTorch .bin weights; the safetensors were read.\n");
  });
});
