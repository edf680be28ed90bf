/** The options that decide what is merged, and over what. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  floats,
  readNumbers,
  readSafetensorsFile,
  type Tensor,
  tinyPair,
  writeModel,
} from "../support/model-folder.js";
import { decodeNumbers, roundTo } from "../support/numbers.js";
import { runCli } from "../support/run-cli.js";
import { PAIR, place } from "../support/tiny-merge.js";

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

  test("--replace of a tensor that the delta doesn't have", async (context) => {
    const { run } = place(context);
    const { code, stderr } = await run("--replace", "model.norm.weight,lm_head");
    assert.equal(code, 2);
    assert.match(stderr, /^error: The delta has no tensor lm_head\.$/m);
  });

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
