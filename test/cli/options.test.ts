/** The options of the command line: the help, the dry run, the voices, the rules, and what wrong usage gets. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import {
  floats,
  listing,
  readNumbers,
  readSafetensorsFile,
  type Tensor,
  temporaryFolder,
  tinyPair,
  writeModel,
} from "../support/model-folder.js";
import { decodeNumbers, roundTo } from "../support/numbers.js";
import { type CliResult, runCli } from "../support/run-cli.js";

const PAIR = tinyPair();
const EMBED = "model.embed_tokens.weight";

interface Place {
  readonly root: string;
  readonly target: string;
  readonly run: (...more: string[]) => Promise<CliResult>;
}

/** A base and a delta in a folder of their own, and how to apply the one to the other. */
function place(context: TestContext, base = PAIR.base, delta = PAIR.delta): Place {
  const root = temporaryFolder(context);
  writeModel(join(root, "base"), base);
  writeModel(join(root, "delta"), delta, { format: "torch", shards: 2 });
  const target = join(root, "target");
  const options = ["--base", "base", "--delta", "delta", "--target", "target"];
  return { root, target, run: (...more) => runCli([...options, ...more], { cwd: root }) };
}

const THREE = ["--base", "b", "--delta", "d", "--target", "t"];
const WRONG_USAGE: readonly { args: readonly string[]; says: string }[] = [
  { args: [], says: "missing --base, --delta and --target" },
  { args: ["--base", "b"], says: "missing --delta and --target" },
  { args: ["--bas", "b"], says: "unknown option '--bas'\n(Did you mean --base?)" },
  { args: ["--base"], says: "argument missing" },
  { args: ["--base", "b", "--delta", "d", "--target", ""], says: "is a variable of the shell not set?" },
  { args: ["--base=", "--delta", "d", "--target", "t"], says: "is a variable of the shell not set?" },
  { args: [...THREE, "and", "more"], says: "too many arguments" },
  { args: [...THREE, "--dtype", "int8"], says: "Allowed choices are auto, float16, bfloat16, float32." },
  { args: [...THREE, "--kernel", "cuda"], says: "Allowed choices are auto, simd, reference." },
  { args: [...THREE, "--new-rows", "some"], says: "Allowed choices are" },
  { args: [...THREE, "--threads", "0"], says: "whole number from 1 to 256" },
  { args: [...THREE, "--threads", "1.5"], says: "whole number from 1 to 256" },
  { args: [...THREE, "--threads", "many"], says: "whole number from 1 to 256" },
  { args: [...THREE, "--format", "pt"], says: "Allowed choices are safetensors, bin." },
  { args: [...THREE, "--max-shard-size", "0"], says: "such as 5GB, 500MB or 2GiB" },
  { args: [...THREE, "--max-shard-size", "5XB"], says: "such as 5GB, 500MB or 2GiB" },
  { args: [...THREE, "--max-shard-size", "-5GB"], says: "such as 5GB, 500MB or 2GiB" },
];

describe("wrong usage", { concurrency: 3 }, () => {
  for (const { args, says } of WRONG_USAGE) {
    test(`${args.join(" ") || "nothing"}: exit 2`, async (context) => {
      const cwd = temporaryFolder(context);
      const { code, stdout, stderr } = await runCli(args, { cwd });
      assert.equal(code, 2);
      assert.equal(stdout, "");
      assert.ok(stderr.startsWith("error: ") && stderr.includes(says), stderr);
      assert.ok(stderr.endsWith("(vicuna-apply-delta --help lists the options)\n"), stderr);
      assert.deepEqual(readdirSync(cwd), []);
    });
  }

  test("a command's own options are in its own help", async () => {
    const { code, stderr } = await runCli(["compare", "a", "b", "--bad"]);
    assert.equal(code, 2);
    assert.ok(stderr.endsWith("(vicuna-apply-delta compare --help lists the options)\n"), stderr);
  });

  test("with --json it is a document on stdout as well", async () => {
    const { code, stdout, stderr } = await runCli(["--json", "--base", "b", "--threads", "x"]);
    assert.equal(code, 2);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    assert.equal(error.code, "bad-usage");
    assert.ok(stderr.includes(error.message));
  });
});

describe("the dry run", { concurrency: 3 }, () => {
  const grown = PAIR.delta.map((tensor) =>
    tensor.name === EMBED || tensor.name === "lm_head.weight"
      ? { ...tensor, shape: [65, 32], bytes: Buffer.concat([tensor.bytes, Buffer.alloc(64)]) }
      : tensor,
  );
  const inverse = (layer: number) =>
    floats(`model.layers.${layer}.self_attn.rotary_emb.inv_freq`, "F32", [4], [1, 0.1, 0.01, 0.001]);

  test("prints the plan and touches nothing", async (context) => {
    const { root, run } = place(context, [...PAIR.base, inverse(0)], [...grown, inverse(1)]);
    const before = listing(root);
    const { code, stdout, stderr } = await run("--dry-run", "--max-shard-size", "25kB");
    assert.equal(code, 0, stderr);
    assert.deepEqual(listing(root), before);
    const lines = stdout.split("\n");
    assert.equal(lines[0], `plan for ${join(root, "target")} (nothing is written)`);
    assert.equal(lines[1], "  tensors   19 added, 1 copied, 2 grown, 1 dropped, 24,804 parameters");
    for (const line of [
      `            grown    ${EMBED}: 1 row that only the delta has: the base counts as zeros there`,
      "            copied   model.layers.0.self_attn.rotary_emb.inv_freq: rotary buffer, only in the base",
      "            dropped  model.layers.1.self_attn.rotary_emb.inv_freq: rotary buffer follows the base, which has none",
      "  weights   2 shards",
    ]) {
      assert.ok(lines.includes(line), `${line}\nis not in\n${stdout}`);
    }
    assert.match(stdout, /^ {12}model-00001-of-00002\.safetensors {2}[\d.]+ kB {2}\d+ tensors$/m);
    assert.match(stdout, /^ {2}files {5}config\.json, tokenizer\.model, tokenizer_config\.json/m);
    assert.match(stdout, /^ {2}to read {3}99\.\d kB$/m);
    assert.match(stdout, /^ {2}to write {2}5\d\.\d kB \([\d.]+ [GTM]B free\)$/m);
  });

  test("with --json it is one document that the merge then keeps to", async (context) => {
    const { root, run, target } = place(context, [...PAIR.base, inverse(0)], grown);
    const before = listing(root);
    const dry = await run("--dry-run", "--json", "--max-shard-size", "25kB");
    assert.deepEqual(listing(root), before);
    const plan = JSON.parse(dry.stdout) as Record<string, unknown>;
    const shards = plan.shards as { file: string; bytes: number; tensors: number }[];
    assert.equal(plan.dryRun, true);
    assert.deepEqual(plan.tensors, { added: 19, copied: 1, grown: 2, dropped: 0 });
    assert.deepEqual(
      (plan.notAdded as { name: string; action: string; reason: string }[]).map(({ name, action }) => [
        name,
        action,
      ]),
      [
        [EMBED, "grown"],
        ["model.layers.0.self_attn.rotary_emb.inv_freq", "copied"],
        ["lm_head.weight", "grown"],
      ],
    );
    assert.equal(plan.parameters, 24_804);
    assert.ok((plan.freeBytes as number) > (plan.bytesToWrite as number));
    assert.equal((plan.baseCheck as { verdict: string }).verdict, "exact");
    assert.ok(Array.isArray(plan.warnings));

    const done = JSON.parse((await run("--json", "--max-shard-size", "25kB")).stdout) as Record<
      string,
      unknown
    >;
    assert.deepEqual(done.tensors, plan.tensors);
    assert.equal(done.bytesRead, plan.bytesToRead);
    assert.equal(done.bytesWritten, plan.bytesToWrite);
    assert.deepEqual(
      done.shards,
      shards.map(({ file, bytes }) => ({ file, bytes })),
    );
    for (const { file, bytes, tensors } of shards) {
      assert.equal(readFileSync(join(target, file)).length, bytes);
      assert.equal(readSafetensorsFile(join(target, file)).length, tensors);
    }
    for (const name of plan.files as string[]) assert.ok(existsSync(join(target, name)), name);
  });

  test("refuses what the merge would refuse", async (context) => {
    const { root, run } = place(context);
    mkdirSync(join(root, "target"));
    writeFileSync(join(root, "target", "precious.txt"), "mine");
    assert.equal((await run("--dry-run")).code, 6);
    assert.equal((await run("--dry-run", "--overwrite")).code, 0);
    assert.deepEqual(readdirSync(join(root, "target")), ["precious.txt"]);
  });
});

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
    const failed = await run("--verbose");
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
    const again = await run("a", { FORCE_COLOR: "1" }, "--json");
    assert.ok(again.stderr.startsWith("\u001b[1;31merror:\u001b[0m The folder to make exists"), again.stderr);
    const usage = await run("b", { FORCE_COLOR: "1" }, "--threads", "x");
    assert.ok(usage.stderr.startsWith("\u001b[1;31merror:\u001b[0m option '--threads"), usage.stderr);
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

describe("the rules", { concurrency: 3 }, () => {
  const extra = (name: string) => floats(name, "F16", [3], [-0, 1, 65504]);
  const tensorsOf = (folder: string): Tensor[] => readSafetensorsFile(join(folder, "model.safetensors"));
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const bytesOf = (folder: string, name: string) =>
    tensorsOf(folder)
      .filter((tensor) => tensor.name === name)
      .map(({ bytes }) => hex(bytes));

  for (const side of ["base", "delta"] as const) {
    for (const rule of ["keep", "drop"] as const) {
      test(`--${side}-only ${rule}`, async (context) => {
        const pair = { ...PAIR, [side]: [...PAIR[side], extra("score.bias")] };
        const { target, run } = place(context, pair.base, pair.delta);
        const { code, stderr } = await run(`--${side}-only`, rule);
        assert.equal(code, 0, stderr);
        const expected = rule === "keep" ? [hex(extra("score.bias").bytes)] : [];
        assert.deepEqual(bytesOf(target, "score.bias"), expected);
        assert.equal(tensorsOf(target).length, rule === "keep" ? 22 : 21);
      });
    }
  }

  test("--force merges with a wrong base, and warns; --skip-base-check doesn't look", async (context) => {
    const other = tinyPair(99).base;
    const { root, target, run } = place(context, other);
    assert.equal((await run()).code, 5);
    const forced = await run("--force");
    assert.equal(forced.code, 0);
    assert.match(forced.stderr, /^warning: the base is another model \(/);
    const sum = readNumbers(join(target, "model.safetensors"), "model.norm.weight");
    const norm = (tensors: Tensor[]) =>
      decodeNumbers(
        "F16",
        tensors.find(({ name }) => name === "model.norm.weight")?.bytes ?? new Uint8Array(),
      );
    const delta = norm(PAIR.delta);
    assert.deepEqual(
      sum,
      norm(other).map((value, i) => roundTo("F16", value + (delta[i] ?? 0))),
    );
    const options = [
      "--base",
      "base",
      "--delta",
      "delta",
      "--target",
      "again",
      "--skip-base-check",
      "--json",
    ];
    const skipped = await runCli(options, { cwd: root });
    assert.equal(skipped.stderr, "");
    assert.equal((JSON.parse(skipped.stdout) as { baseCheck: unknown }).baseCheck, null);
    assert.deepEqual(
      readFileSync(join(root, "again", "model.safetensors")),
      readFileSync(join(target, "model.safetensors")),
    );
  });

  test("--overwrite replaces a target, and only with a whole one", async (context) => {
    const { root, target, run } = place(context);
    mkdirSync(target);
    writeFileSync(join(target, "old.txt"), "old");
    const wrong = writeModel(join(root, "wrong"), tinyPair(99).base);
    const failed = await runCli(["--base", wrong, "--delta", "delta", "--target", "target", "--overwrite"], {
      cwd: root,
    });
    assert.equal(failed.code, 5);
    assert.deepEqual(readdirSync(target), ["old.txt"]);
    assert.equal((await run("--overwrite")).code, 0);
    assert.ok(!readdirSync(target).includes("old.txt"));
    assert.deepEqual(readdirSync(root).sort(), ["base", "delta", "target", "wrong"]);
  });

  test("an empty folder is a target", async (context) => {
    const { target, run } = place(context);
    mkdirSync(target);
    assert.equal((await run()).code, 0);
    const numbers = (tensors: readonly Tensor[]) =>
      [...tensors]
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .flatMap(({ bytes }) => [...decodeNumbers("F16", bytes)]);
    const [base, delta] = [numbers(PAIR.base), numbers(PAIR.delta)];
    assert.deepEqual(
      numbers(tensorsOf(target)),
      base.map((value, i) => roundTo("F16", value + (delta[i] ?? 0))),
    );
  });
});
