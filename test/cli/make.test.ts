/**
 * `make` as its users run it: a delta of every dtype, format and sharding, applied again; what is refused; what is said.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { floats, listing, temporaryFolder } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";
import {
  assertSameTensorNames,
  assertSameTensors,
  type Made,
  made,
  place,
  tensorsIn,
  tunedPair,
} from "../support/tuned-pair.js";

const EMBED = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";
const ROTARY = "model.layers.0.self_attn.rotary_emb.inv_freq";

describe("make, then apply", { concurrency: 3 }, () => {
  for (const dtype of ["F16", "BF16", "F32"] as const) {
    for (const format of ["safetensors", "torch"] as const) {
      test(`${dtype} from ${format}: every bit comes back, through the base check`, async (context) => {
        const pair = tunedPair(dtype);
        const options = { base: { format }, tuned: { format, shards: 3 } };
        const { root, make, apply } = place(context, pair, options);
        const document = made(await make("--exact", "--max-shard-size", "25kB"));
        assert.equal(document.delta, join(root, "delta"));
        assert.deepEqual(document.tensors, { subtracted: 21, copied: 0, grown: 0, dropped: 0 });
        assert.deepEqual(document.restores, {
          isExact: true,
          elements: 24_736,
          lost: 0,
          zeroSigns: 0,
          tensors: 0,
          listed: [],
        });
        assert.ok(document.shards.length > 1);
        assert.deepEqual(document.warnings, []);
        const { code, stdout, stderr } = await apply();
        assert.equal(code, 0, stderr);
        const { baseCheck } = JSON.parse(stdout) as { baseCheck: { verdict: string } };
        assert.equal(baseCheck.verdict, "exact");
        assertSameTensors(join(root, "again"), pair.tuned);
      });
    }
  }

  test("--format bin and --checksums", async (context) => {
    const pair = tunedPair("F16");
    const { root, make, apply } = place(context, pair);
    made(await make("--exact", "--format", "bin", "--checksums", "--max-shard-size", "25kB"));
    assert.ok(existsSync(join(root, "delta", "pytorch_model.bin.index.json")));
    assert.match(readFileSync(join(root, "delta", "SHA256SUMS"), "utf8"), /^[0-9a-f]{64} [ *]README\.md$/m);
    assert.equal((await apply()).code, 0);
    assertSameTensors(join(root, "again"), pair.tuned);
  });

  test("rows that only the tuned model has are in the delta as they are", async (context) => {
    const pair = tunedPair("F16", { base: 64, tuned: 66 });
    const { root, make, apply } = place(context, pair);
    const document = made(await make("--exact"));
    assert.deepEqual(document.tensors, { subtracted: 19, copied: 0, grown: 2, dropped: 0 });
    const delta = tensorsIn(join(root, "delta"));
    for (const name of [EMBED, HEAD]) {
      const tuned = pair.tuned.find((tensor) => tensor.name === name);
      assert.deepEqual(delta.get(name)?.shape, tuned?.shape);
      const newRows = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).subarray(2 * 64 * 32);
      assert.deepEqual(newRows(delta.get(name)?.bytes), newRows(tuned?.bytes));
    }
    assert.equal((await apply()).code, 0);
    assertSameTensors(join(root, "again"), pair.tuned);
    assert.match(readFileSync(join(root, "delta", "README.md"), "utf8"), /a version up to 0\.1\.10/);
  });

  test("tensors of the tuned model alone: with the option that the note names, they come back", async (context) => {
    const pair = tunedPair("F16");
    const tuned = [...pair.tuned, floats("score.weight", "F16", [3], [-0, 1, 65504])];
    const { root, make, apply } = place(context, { base: pair.base, tuned });
    const result = await make("--exact");
    assert.match(
      result.stderr,
      /^score\.weight: only on one side\. Applying this delta takes --delta-only keep\.$/m,
    );
    assert.deepEqual(made(result).applyWith, ["--delta-only keep"]);
    assert.match(
      readFileSync(join(root, "delta", "README.md"), "utf8"),
      /--target tuned --delta-only keep$/m,
    );
    assert.equal((await apply()).code, 5);
    assert.equal((await apply("--delta-only", "keep")).code, 0);
    assertSameTensors(join(root, "again"), tuned);
  });

  test("rotary buffers on either side alone don't stand in the way", async (context) => {
    const pair = tunedPair("F16");
    const rotary = floats(ROTARY, "F32", [4], [1, 0.1, 0.01, 0.001]);
    for (const side of ["base", "tuned"] as const) {
      const { root, make, apply } = place(context, { ...pair, [side]: [...pair[side], rotary] });
      made(await make("--exact"));
      assertSameTensorNames(join(root, "delta"), pair.tuned);
      assert.equal((await apply()).code, 0);
      assertSameTensors(join(root, "again"), side === "base" ? [...pair.tuned, rotary] : pair.tuned);
    }
  });

  test("config, tokenizer and their repair are the tuned model's", async (context) => {
    const { root, make } = place(context, tunedPair("BF16"));
    const { stderr } = await make();
    assert.equal(stderr, "config.json: torch_dtype set to bfloat16 to match the tensors.\n");
    for (const name of ["tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"]) {
      assert.deepEqual(
        readFileSync(join(root, "delta", name)),
        readFileSync(join(root, "tuned", name)),
        name,
      );
    }
  });
});

describe("odd pairs and wrong usage", { concurrency: 3 }, () => {
  test("the same model twice: a warning", async (context) => {
    const { base } = tunedPair("F16");
    const { make } = place(context, { base, tuned: base });
    const { warnings } = made(await make());
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /the delta will be all zeros/);
  });

  test("two models that aren't a pair: a warning before anything is written", async (context) => {
    const other = tunedPair("F16", undefined, 12).base;
    const { root, make } = place(context, { base: other, tuned: tunedPair("F16").tuned });
    const { code, stdout } = await make("--dry-run");
    assert.equal(code, 0);
    const { warnings } = JSON.parse(stdout) as Made;
    assert.match(warnings[0] ?? "", /Applying this delta takes --force\.$/);
    assert.ok(!existsSync(join(root, "delta")));
  });

  test("the dry run prints the plan and touches nothing", async (context) => {
    const pair = tunedPair("F16", { base: 64, tuned: 65 });
    const { root, make } = place(context, { ...pair, tuned: [...pair.tuned, floats("x", "F16", [1], [1])] });
    const before = listing(root);
    const document = JSON.parse((await make("--dry-run")).stdout) as Record<string, unknown>;
    assert.equal(document.dryRun, true);
    assert.deepEqual(document.tensors, { subtracted: 19, copied: 1, grown: 2, dropped: 0 });
    assert.deepEqual(document.applyWith, ["--delta-only keep"]);
    assert.ok((document.files as string[]).includes("README.md"));
    const { stdout } = await runCli(
      ["make", "--base", "base", "--target", "tuned", "--delta", "delta", "--dry-run"],
      { cwd: root },
    );
    assert.match(
      stdout,
      /^ {12}grown {4}lm_head\.weight: 1 row that only the tuned model has: kept as it is$/m,
    );
    assert.match(stdout, /^ {2}to apply {2}add --delta-only keep$/m);
    assert.deepEqual(listing(root), before);
  });

  test("missing models, unknown options, a base that isn't there", async (context) => {
    const cwd = temporaryFolder(context);
    const run = (...args: string[]) => runCli(["make", ...args], { cwd });
    const missing = await run("--base", "b");
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /^error: Missing --tuned and --delta\.$/m);
    assert.equal((await run("--base", "b", "--target", "t", "--delta", "d", "--dtype", "float16")).code, 2);
    const absent = await run("--base", "b", "--target", "t", "--delta", "d");
    assert.equal(absent.code, 3);
    writeFileSync(join(cwd, "b"), "");
    const tuned = await run("--base", "b", "--target", "t", "--delta", "d");
    assert.match(
      tuned.stderr,
      /^error: No such file or folder: t \(looked in .*\)\.\n {2}file: {5}t\n {2}expected: for the tuned model: /,
    );
  });

  test("neither model is ever written over", async (context) => {
    const { root } = place(context, tunedPair("F16"));
    const before = listing(root);
    for (const delta of ["tuned", "base", "tuned/delta", "."]) {
      const { code, stderr } = await runCli(
        ["make", "--base", "base", "--tuned", "tuned", "--delta", delta, "--overwrite"],
        { cwd: root },
      );
      assert.equal(code, 6, stderr);
      assert.match(stderr, /neither inside nor around a model that is read/);
    }
    assert.deepEqual(listing(root), before);
  });
});
