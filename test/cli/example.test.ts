/**
 * The example of the README, made by transformers, safetensors and PyTorch themselves (examples/make_tiny.py), through
 * the command line: the same bytes as transformers wrote, whichever kernel and however many threads made them.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { listing, temporaryFolder } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const EXAMPLE = fileURLToPath(new URL("../../../examples/tiny/", import.meta.url));
const BASE = join(EXAMPLE, "base");
const DELTA = join(EXAMPLE, "delta");

interface Expected {
  readonly max_shard_size: string;
  readonly sha256: Record<string, string>;
}
const EXPECTED = JSON.parse(readFileSync(join(EXAMPLE, "expected.json"), "utf8")) as Expected;
const SHARDS = Object.keys(EXPECTED.sha256).filter((name) => name.endsWith(".safetensors"));

const ASSETS = [
  "config.json",
  "generation_config.json",
  "special_tokens_map.json",
  "tokenizer.model",
  "tokenizer_config.json",
];

/** Whole numbers and others, so that a summary can be compared but for its measurements. */
const SUMMARY = [
  "",
  "  tensors   39 added",
  "  weights   489 kB in 3 shards",
  /^ {2}check {5}exact: all [\d,]+ sums checked$/,
  /^ {2}took {6}\d+\.\d s \([\d.]+ [kMG]?B\/s read and written\), [\d.]+ MB of memory, (simd|reference) kernel, \d threads?$/,
];

interface Run {
  readonly stdout: string;
  readonly stderr: string;
  readonly target: string;
}

async function apply(context: TestContext, ...more: string[]): Promise<Run> {
  return applyTo(join(temporaryFolder(context), "vicuna"), ...more);
}

async function applyTo(target: string, ...more: string[]): Promise<Run> {
  const options = ["--base", BASE, "--delta", DELTA, "--target", target];
  const { code, stdout, stderr } = await runCli([...options, "--max-shard-size", "220KB", ...more]);
  assert.equal(code, 0, stderr);
  return { stdout, stderr, target };
}

const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

function assertTarget(target: string): void {
  // The model card and the record say how the target was made; they are no part of what transformers wrote.
  const names = readdirSync(target).filter(
    (name) => !["README.md", "vicuna-apply-delta.json"].includes(name),
  );
  assert.deepEqual(names.sort(), [...ASSETS, ...Object.keys(EXPECTED.sha256)].sort());
  for (const [name, hash] of Object.entries(EXPECTED.sha256)) {
    assert.equal(sha256(join(target, name)), hash, name);
  }
  for (const name of ASSETS)
    assert.deepEqual(readFileSync(join(target, name)), readFileSync(join(DELTA, name)), name);
}

describe("the example", { concurrency: 3 }, () => {
  test("gives the same bytes in a folder of any name", async (context) => {
    const [first, second] = await Promise.all([
      apply(context),
      applyTo(join(temporaryFolder(context), "other")),
    ]);
    const digests = (folder: string) => readdirSync(folder).map((name) => [name, sha256(join(folder, name))]);
    assert.deepEqual(digests(second.target), digests(first.target));
  });

  test("gives transformers' own bytes, the delta's files, and a summary on stdout", async (context) => {
    const before = listing(EXAMPLE);
    const { stdout, stderr, target } = await apply(context);
    assertTarget(target);
    assert.equal(stderr, "");
    const lines = stdout.split("\n");
    assert.equal(lines.shift(), target);
    assert.equal(lines.pop(), "");
    for (const [i, line] of lines.entries()) {
      const expected = SUMMARY[i + 1];
      if (expected instanceof RegExp) assert.match(line, expected);
      else assert.equal(line, expected);
    }
    assert.equal(lines.length, SUMMARY.length - 1);
    assert.deepEqual(listing(EXAMPLE), before);
    assert.deepEqual(readdirSync(join(target, "..")), ["vicuna"]);
  });

  for (const kernel of ["reference", "simd"]) {
    for (const threads of ["1", "2", "5"]) {
      test(`is the same with --kernel ${kernel} --threads ${threads}`, async (context) => {
        const { stdout, target } = await apply(context, "--kernel", kernel, "--threads", threads, "--json");
        assertTarget(target);
        const summary = JSON.parse(stdout) as Record<string, unknown>;
        assert.equal(summary.kernel, kernel);
        assert.equal(summary.threads, Number(threads));
      });
    }
  }

  test("--json gives one document with every field", async (context) => {
    const { stdout, stderr, target } = await apply(context, "--json", "--threads", "2");
    assert.equal(stderr, "");
    const document = JSON.parse(stdout) as Record<string, unknown>;
    const expected = {
      target,
      tensors: { added: 39, copied: 0, grown: 0, dropped: 0 },
      shards: SHARDS.map((file) => ({ file, bytes: readFileSync(join(target, file)).length })),
      bytesRead: 2 * 484_480,
      bytesStreamed: 0,
      bytesWritten: SHARDS.reduce((sum, file) => sum + readFileSync(join(target, file)).length, 0),
      threads: 2,
      warnings: [],
    };
    for (const [field, value] of Object.entries(expected)) assert.deepEqual(document[field], value, field);
    const { seconds, peakMemoryBytes, baseCheck, kernel } = document;
    assert.ok(typeof seconds === "number" && seconds > 0);
    assert.ok(typeof peakMemoryBytes === "number" && peakMemoryBytes > 10e6);
    assert.ok(kernel === "simd" || kernel === "reference");
    const { verdict, checkedIn, inexact, statistics } = baseCheck as {
      verdict: string;
      checkedIn: string;
      inexact: number;
      statistics: Record<string, number>;
    };
    assert.equal(verdict, "exact");
    assert.deepEqual({ checkedIn, inexact }, { checkedIn: "F16", inexact: 0 });
    assert.ok((statistics.comparable ?? 0) > 100_000);
  });

  test("the memory is the program's own, not that of the process that starts it", async (context) => {
    if (process.platform !== "linux") return context.skip("only /proc tells the two apart");
    const held = Buffer.alloc(600 * 2 ** 20, 1);
    const { stdout } = await apply(context, "--json", "--threads", "2");
    const { peakMemoryBytes } = JSON.parse(stdout) as { peakMemoryBytes: number };
    assert.ok(peakMemoryBytes < held.length, `${peakMemoryBytes} bytes of memory`);
  });

  test("FastChat's option names do the same, and --low-cpu-mem says one line", async (context) => {
    const target = join(temporaryFolder(context), "vicuna");
    const options = ["--base-model-path", BASE, "--delta-path", DELTA, "--target-model-path", target];
    const { code, stderr } = await runCli([...options, "--low-cpu-mem", "--max-shard-size", "220KB"]);
    assert.equal(code, 0);
    assert.equal(stderr, "--low-cpu-mem changes nothing: memory use is always low.\n");
    assertTarget(target);
  });

  test("one file a side: the base's safetensors, one tensor's shard named by its index", async (context) => {
    const target = join(temporaryFolder(context), "vicuna");
    const base = join(BASE, "model.safetensors");
    const delta = join(DELTA, "pytorch_model.bin.index.json");
    const { code, stderr } = await runCli([
      ...["--base", base, "--delta", delta, "--target", target, "--max-shard-size", "220KB"],
    ]);
    assert.equal(code, 0, stderr);
    assertTarget(target);
  });

  test("relative paths are those of the working folder", async (context) => {
    const cwd = temporaryFolder(context);
    const { code } = await runCli(
      ["--base", BASE, "--delta", DELTA, "--target", "made/for/this", "--max-shard-size", "220KB"],
      { cwd },
    );
    assert.equal(code, 0);
    assertTarget(join(cwd, "made/for/this"));
  });
});
