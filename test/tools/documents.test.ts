/**
 * What the commands print with `--json`, held against the schemas in src, which refuse further fields, and against the
 * published schemas.
 */
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import * as z from "zod";
import { DOCUMENTS } from "../../tools/schemas.js";
import { projectPath } from "../support/fixture-path.js";
import { startHub, TOKEN } from "../support/hub-server.js";
import { floats, temporaryFolder, tinyPair, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";
import { tunedPair } from "../support/tuned-pair.js";

/** By the package's own name, as a script would find it. */
function publishedSchema(name: string): z.ZodType {
  const path = new URL(import.meta.resolve(`vicuna-apply-delta/schemas/${name}.json`));
  const schema = published.get(name) ?? z.fromJSONSchema(JSON.parse(readFileSync(path, "utf8")));
  published.set(name, schema);
  return schema;
}

const published = new Map<string, z.ZodType>();

/** Runs a command; gives its document, which fits the type and the schema of that name. */
async function documentOf(
  name: string,
  cwd: string,
  args: readonly string[],
  code = 0,
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<object> {
  const result = await runCli([...args, "--json"], { cwd, env });
  assert.equal(result.code, code, `${args.join(" ")}: ${result.stderr}${result.stdout}`);
  const document = JSON.parse(result.stdout) as object;
  DOCUMENTS[name]?.schema.parse(document);
  publishedSchema(name).parse(document);
  return document;
}

/** A base, a delta with a row, a tensor and a buffer that the base hasn't, and the model tuned from the base. */
function place(context: TestContext): string {
  const root = temporaryFolder(context);
  const pair = tinyPair();
  const odd = floats("model.extra.weight", "F16", [2, 2], [1, 2, 3, 4]);
  writeModel(join(root, "base"), pair.base);
  writeModel(join(root, "delta"), [...pair.delta, odd], { format: "torch", shards: 2 });
  writeModel(join(root, "tuned"), pair.tuned, { shards: 2 });
  const grown = tunedPair("F16", { base: 64, tuned: 66 });
  writeModel(join(root, "small"), grown.base);
  writeModel(join(root, "grown"), grown.tuned);
  return root;
}

const MERGE = ["--base", "base", "--delta", "delta", "--target", "made", "--delta-only", "keep"];

describe("documents", { concurrency: 2 }, () => {
  test("apply and its plan", async (context) => {
    const root = place(context);
    await documentOf("apply-plan", root, [...MERGE, "--dry-run"]);
    await documentOf("apply", root, [...MERGE, "--checksums", "--verify", "--max-shard-size", "20kB"]);
    await documentOf("apply", root, [...MERGE, "--overwrite", "--skip-base-check", "--scale", "0.5"]);
    const example = [
      "--base",
      projectPath("examples/tiny/base"),
      "--delta",
      projectPath("examples/tiny/delta"),
    ];
    await documentOf("apply", root, [...example, "--target", "vicuna-7b-delta-v1.1"]);
  });

  test("make and its plan", async (context) => {
    const root = place(context);
    for (const [base, tuned] of [
      ["base", "tuned"],
      ["small", "grown"],
    ] as const) {
      const make = ["make", "--base", base, "--target", tuned, "--delta", `delta-of-${tuned}`];
      await documentOf("make-plan", root, [...make, "--dry-run"]);
      await documentOf("make", root, make);
    }
    // Beside weights of 1 the last bits of the tuned model's are lost.
    const ones = tinyPair().base.map(({ name, shape, bytes }) =>
      floats(name, "F16", shape, new Float64Array(bytes.length / 2).fill(1)),
    );
    writeModel(join(root, "ones"), ones);
    const lossy = ["make", "--base", "ones", "--target", "tuned", "--delta", "lossy"];
    const document = await documentOf("make", root, lossy);
    assert.equal((document as { restores: { isExact: boolean } }).restores.isExact, false);
  });

  test("compare: equal, different in bits, in shapes and in files", async (context) => {
    const root = place(context);
    writeFileSync(join(root, "tuned", "generation_config.json"), "{}");
    await documentOf("compare", root, ["compare", "base", "tuned"], 7);
    await documentOf("compare", root, ["compare", "base", "tuned", "--tolerance", "1", "--weights-only"]);
    await documentOf("compare", root, ["compare", "small", "grown"], 7);
    await documentOf("compare", root, ["compare", "base", "delta"], 7);
  });

  test("inspect: with everything, and with next to nothing", async (context) => {
    const root = place(context);
    await documentOf("inspect", root, ["inspect", projectPath("examples/tiny/base")]);
    await documentOf("inspect", root, ["inspect", "delta", "--base", "base", "--tensors", "*.q_proj.*"]);
    rmSync(join(root, "base", "config.json"));
    await documentOf("inspect", root, ["inspect", "base/model.safetensors"]);
    const named = writeModel(join(root, "vicuna-7b-delta-v1.1"), tinyPair().delta, { files: {} });
    await documentOf("inspect", root, ["inspect", named]);
  });

  test("verify: right and wrong", async (context) => {
    const root = place(context);
    await documentOf("apply", root, MERGE);
    await documentOf("verify", root, ["verify", "made", "--base", "base", "--delta", "delta"]);
    writeFileSync(join(root, "made", "config.json"), "{");
    await documentOf("verify", root, ["verify", "made"], 7);
  });

  test("upload, by itself and with apply and make", async (context) => {
    const root = place(context);
    const hub = await startHub({}, context);
    const env = { HF_ENDPOINT: hub.url, HF_HUB_OFFLINE: undefined, HF_TOKEN: TOKEN };
    const send = (name: string, ...args: string[]) => documentOf(name, root, args, 0, env);
    const applied = await send("apply", ...MERGE, "--upload", "owner/made");
    assert.equal((applied as { upload: { repository: string } }).upload.repository, "owner/made");
    const make = ["make", "--base", "base", "--target", "tuned", "--delta", "of-tuned"];
    await send("make", ...make, "--upload", "owner/delta", "--private");
    await send("upload", "upload", "made", "owner/again");
    await send("upload", "upload", "made", "owner/again");
  });

  test("weights", async (context) => {
    await documentOf("weights", temporaryFolder(context), ["weights"]);
  });

  test("errors: of usage, of a source, with a tensor, and with numbers", async (context) => {
    const root = place(context);
    await documentOf("error", root, ["--bas", "x"], 2);
    await documentOf("error", root, ["inspect", "nothing"], 3);
    await documentOf("error", root, ["--base", "base", "--delta", "delta", "--target", "made"], 5);
    writeFileSync(join(root, "cut.safetensors"), Buffer.alloc(20, 1));
    await documentOf("error", root, ["inspect", "cut.safetensors"], 4);
  });

  test("a schema refuses what lacks a field or has another type in it", () => {
    const release = DOCUMENTS.verify?.schema;
    const right = { target: "a", verdict: "ok", checks: [], weightsProven: false, notes: [] };
    for (const schema of [release, publishedSchema("verify")]) {
      assert.ok(schema?.safeParse(right).success);
      assert.ok(!schema.safeParse({ ...right, verdict: "fine" }).success);
      const { notes: _, ...less } = right;
      assert.ok(!schema.safeParse(less).success);
    }
    assert.ok(!release?.safeParse({ ...right, more: 1 }).success, "the tests' type takes no more");
    assert.ok(
      publishedSchema("verify").safeParse({ ...right, more: 1 }).success,
      "a later version may say more",
    );
  });
});
