/** What --dry-run prints, and that the merge keeps to it. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { floats, listing, readSafetensorsFile } from "../support/model-folder.js";
import { PAIR, place } from "../support/tiny-merge.js";

const EMBED = "model.embed_tokens.weight";

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
