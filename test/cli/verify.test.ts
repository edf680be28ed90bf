/** `vicuna-apply-delta verify` as its users run it: words, exit codes, one document on stdout. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Verification } from "../../src/verify/documents.js";
import { runCli } from "../support/run-cli.js";
import { makeTarget } from "../support/verified-target.js";

const UNPROVEN = /^no fault found, but the weights' bytes were not checked: give --base and --delta/m;

test("good targets: exit 0, and what was not proven is said", async (context) => {
  const { root } = await makeTarget(context);
  const run = (...words: string[]) => runCli(["verify", "target", ...words], { cwd: root });
  const alone = await run();
  assert.deepEqual([alone.code, alone.stderr], [0, ""]);
  assert.match(alone.stdout, /^target\n {2}weights {4}ok {7}21 tensors, /);
  assert.match(alone.stdout, /^ {2}checksums {2}skipped {2}there is no SHA256SUMS$/m);
  assert.match(alone.stdout, UNPROVEN);
  const whole = await run("--base", "base", "--delta", "delta");
  assert.deepEqual([whole.code, whole.stderr], [0, ""]);
  assert.match(
    whole.stdout,
    /^ {2}sum {8}ok {7}all 5,840 elements are what base and delta give, bit for bit; no sum contradicts the base\nverified\n$/m,
  );
  const quiet = await run("--quiet");
  assert.deepEqual([quiet.code, quiet.stdout, quiet.stderr], [0, "", ""]);
});

test("damage: exit 7, in words and as one document", async (context) => {
  const { root, folder } = await makeTarget(context);
  const path = join(folder, "model-00001-of-00002.safetensors");
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 2) ^ 1, bytes.length - 2);
  writeFileSync(path, bytes);
  const words = ["verify", "target", "--base", "base", "--delta", "delta"];
  const told = await runCli(words, { cwd: root });
  assert.equal(told.code, 7);
  assert.match(told.stdout, /^ {2}sum {8}FAILED {3}model\.[\w.]+\[\d+(, \d+)?\] is /m);
  assert.match(told.stdout, /\nverification FAILED: sum\n$/);
  const { code, stdout, stderr } = await runCli([...words, "--json"], { cwd: root });
  assert.deepEqual([code, stderr], [7, ""]);
  const document = JSON.parse(stdout) as Verification;
  assert.deepEqual([document.target, document.verdict], ["target", "failed"]);
  assert.deepEqual(
    document.checks.map(({ name, status }) => [name, status]),
    [
      ["weights", "ok"],
      ["index", "ok"],
      ["config", "ok"],
      ["tokenizer", "ok"],
      ["record", "ok"],
      ["checksums", "skipped"],
      ["numbers", "ok"],
      ["sum", "failed"],
    ],
  );
  assert.ok(document.checks.every(({ detail }) => detail.length > 0));
});

test("names in a damaged file can't write to the terminal", async (context) => {
  const { root, folder } = await makeTarget(context);
  writeFileSync(join(folder, "SHA256SUMS"), `${"0".repeat(64)}  \u001b[31mred\n`);
  const { code, stdout } = await runCli(["verify", "target"], { cwd: root });
  assert.equal(code, 7);
  assert.match(stdout, /^ {2}checksums {2}FAILED {3}\\u001b\[31mred is missing/m);
});

test("what isn't the target's fault keeps its own exit code", async (context) => {
  const { root } = await makeTarget(context);
  const run = (...words: string[]) => runCli(["verify", ...words, "--json"], { cwd: root });
  const codeOf = (stdout: string) => (JSON.parse(stdout) as { error: { code: string } }).error.code;
  const missing = await run("nowhere");
  assert.deepEqual([missing.code, codeOf(missing.stdout)], [3, "source-not-found"]);
  const half = await run("target", "--base", "base");
  assert.deepEqual([half.code, codeOf(half.stdout)], [2, "bad-usage"]);
  assert.equal((await run()).code, 2);
  // Malformed sources are the sources' fault, a malformed target is the result.
  writeFileSync(join(root, "base", "model.safetensors"), "");
  const bad = await run("target", "--base", "base", "--delta", "delta");
  assert.deepEqual([bad.code, codeOf(bad.stdout)], [4, "empty-file"]);
  const empty = await run("base");
  assert.equal(empty.code, 7);
  assert.equal((JSON.parse(empty.stdout) as Verification).checks[0]?.status, "failed");
});

test("apply --checksums --verify says what it did, and the plan names the files", async (context) => {
  const { root } = await makeTarget(context);
  const words = [
    "--base",
    "base",
    "--delta",
    "delta",
    "--target",
    "other",
    "--skip-base-check",
    "--checksums",
  ];
  const plan = await runCli([...words, "--dry-run"], { cwd: root });
  assert.match(plan.stdout, /^ {2}files .*README\.md, vicuna-apply-delta\.json, SHA256SUMS$/m);
  const done = await runCli([...words, "--verify"], { cwd: root });
  assert.equal(done.code, 0, done.stderr);
  assert.match(
    done.stdout,
    /^ {2}verified {2}read back from the disk: what base and delta give, bit for bit$/m,
  );
  const { code, stdout } = await runCli(["verify", "other"], { cwd: root });
  assert.equal(code, 0);
  assert.match(stdout, /\nverified\n$/);
});
