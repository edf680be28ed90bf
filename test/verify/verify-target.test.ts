/** `verifyTarget`: each way a target can be wrong ends in the check that is about it. */
import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { applyDelta } from "../../src/apply/apply-delta.js";
import { type ProgressUpdate, silentReporter } from "../../src/progress.js";
import { floats, tinyPair, tinyShapes, withTensor } from "../support/model-folder.js";
import { decodeNumbers } from "../support/numbers.js";
import { refusal } from "../support/refusal.js";
import { CONFIG, checkOf, failuresOf, makeTarget } from "../support/verified-target.js";

const SHARD = "model-00002-of-00002.safetensors";

test("a good target passes every check", async (context) => {
  const { verify } = await makeTarget(context, { checksums: true, verify: true });
  const { verdict, checks, weightsProven, notes } = await verify({ withSources: true });
  assert.deepEqual([verdict, weightsProven, notes], ["ok", true, []]);
  assert.deepEqual(
    checks.map(({ name, status }) => `${name} ${status}`),
    ["weights", "index", "config", "tokenizer", "record", "checksums", "numbers", "sum"].map(
      (name) => `${name} ok`,
    ),
  );
});

test("a truncated shard, a missing one, and one too many", async (context) => {
  const { folder, verify } = await makeTarget(context);
  const path = join(folder, SHARD);
  const bytes = readFileSync(path);
  truncateSync(path, bytes.length - 1);
  const truncated = await verify();
  assert.deepEqual(failuresOf(truncated), ["weights"]);
  assert.match(checkOf(truncated, "weights").detail, new RegExp(`^${SHARD}: The file ends before`));
  assert.equal(checkOf(truncated, "numbers").status, "skipped");
  rmSync(path);
  const missing = await verify();
  assert.deepEqual(failuresOf(missing), ["weights", "record"]);
  assert.match(checkOf(missing, "weights").detail, /A shard that the index names is missing/);
  writeFileSync(path, bytes);
  copyFileSync(path, join(folder, "model-00003-of-00003.safetensors"));
  const extra = await verify();
  assert.deepEqual(failuresOf(extra), ["weights"]);
  assert.match(
    checkOf(extra, "weights").detail,
    /^model-00003-of-00003\.safetensors isn't part of the model/,
  );
});

test("an index that leaves a tensor out, or counts wrongly", async (context) => {
  const { folder, verify } = await makeTarget(context);
  const path = join(folder, "model.safetensors.index.json");
  const index = JSON.parse(readFileSync(path, "utf8")) as {
    metadata: { total_size: number };
    weight_map: Record<string, string>;
  };
  const write = (value: object) => writeFileSync(path, JSON.stringify(value));
  write({ ...index, metadata: { total_size: index.metadata.total_size + 2 } });
  assert.match(checkOf(await verify(), "index").detail, /^total_size is \d+, the tensors have \d+ bytes$/);
  const { "model.norm.weight": _, ...rest } = index.weight_map;
  write({ ...index, weight_map: rest });
  assert.match(checkOf(await verify(), "index").detail, /^model\.norm\.weight is left out/);
});

test("a config that isn't the tensors'", async (context) => {
  const { folder, verify } = await makeTarget(context);
  const path = join(folder, "config.json");
  const config = JSON.parse(readFileSync(path, "utf8")) as object;
  const cases: [object, RegExp][] = [
    [
      { vocab_size: 21 },
      /^vocab_size is 21, the embedding has 20 rows; model\.embed_tokens\.weight is 20 x 16/,
    ],
    [{ torch_dtype: "bfloat16" }, /^torch_dtype is bfloat16, the tensors are float16$/],
    [{ num_hidden_layers: 3 }, /^model\.layers\.2\.self_attn\.q_proj\.weight is missing; .* and 6 more$/],
    [{ num_hidden_layers: 1 }, /^model\.layers\.1\.self_attn\.q_proj\.weight isn't one of its tensors/],
    [{ intermediate_size: 31 }, /^model\.layers\.0\.mlp\.gate_proj\.weight is 32 x 16, not 31 x 16/],
    [{ num_key_value_heads: 2 }, /^model\.layers\.0\.self_attn\.k_proj\.weight is 16 x 16, not 8 x 16/],
    [{ hidden_size: "wide" }, /^config\.json: .*hidden_size: Invalid input/],
  ];
  for (const [change, detail] of cases) {
    writeFileSync(path, JSON.stringify({ ...config, ...change }));
    const found = await verify();
    assert.deepEqual(failuresOf(found), ["config", "record"], JSON.stringify(change));
    assert.match(checkOf(found, "config").detail, detail);
  }
  writeFileSync(path, JSON.stringify({ ...config, tie_word_embeddings: true }));
  assert.equal(checkOf(await verify(), "config").status, "ok");
  rmSync(path);
  assert.equal(checkOf(await verify(), "config").status, "skipped");
});

test("a tokenizer with more tokens than rows", async (context) => {
  const { folder, verify } = await makeTarget(context);
  writeFileSync(join(folder, "added_tokens.json"), '{"[PAD]": 20}');
  const found = await verify();
  assert.deepEqual(failuresOf(found), ["tokenizer"]);
  assert.match(checkOf(found, "tokenizer").detail, /21 tokens, but the embedding has only 20 rows/);
});

test("NaN and infinity are counted and named, and stop apply --verify", async (context) => {
  const pair = tinyPair(7, tinyShapes(20, 16));
  const name = "model.layers.1.mlp.up_proj.weight";
  const broken = withTensor(pair.delta, name, ({ dtype, shape, bytes }) => {
    const numbers = decodeNumbers("F16", bytes);
    numbers.set([Number.NaN, Number.POSITIVE_INFINITY, Number.NaN], 100);
    assert.equal(dtype, "F16");
    return floats(name, "F16", shape, numbers);
  });
  const { verify, base, delta, root } = await makeTarget(context, {}, { delta: broken });
  const found = await verify({ withSources: true });
  assert.deepEqual(failuresOf(found), ["numbers"]);
  assert.equal(checkOf(found, "numbers").detail, `${name} has 2 NaN and 1 infinite`);
  const again = join(root, "again");
  await refusal(
    () => applyDelta({ base, delta, target: again, skipBaseCheck: true, force: true, verify: true }),
    "target-altered",
    { got: /^numbers: model\.layers\.1/ },
  );
});

test("the record's rules are those of the sum; without it, the options'", async (context) => {
  const grown = tinyPair(8, tinyShapes(21, 16)).delta;
  const { folder, verify } = await makeTarget(
    context,
    { dtype: "BF16", scale: 0.5, rules: { newRows: "mean" } },
    { delta: grown },
  );
  // The delta's own config says 20 rows; the target's was mended.
  const found = await verify({ withSources: true });
  assert.deepEqual(failuresOf(found), []);
  rmSync(join(folder, "vicuna-apply-delta.json"));
  const without = await verify({ withSources: true });
  assert.deepEqual(failuresOf(without), ["sum"]);
  assert.match(checkOf(without, "sum").detail, /is BF16 21 x 16, base and delta give F16 21 x 16/);
  assert.match(without.notes.join(), /the sum follows the options/);
  const given = { dtype: "BF16", scale: 0.5, rules: { newRows: "mean" } } as const;
  assert.deepEqual(failuresOf(await verify({ withSources: true, ...given })), []);
  const wrong = await verify({ withSources: true, ...given, rules: { newRows: "zero" } });
  assert.match(checkOf(wrong, "sum").detail, /^model\.embed_tokens\.weight\[20, \d+\] is/);
});

test("other sources than those on record are a note, and the numbers decide", async (context) => {
  const { base, verify } = await makeTarget(context);
  renameSync(join(base, "model.safetensors"), join(base, "other.safetensors"));
  const renamed = await verify({ withSources: true });
  assert.deepEqual(failuresOf(renamed), []);
  assert.match(renamed.notes.join(), /the base isn't, file for file, the one on record \(base\)/);
});

test("a model of someone else's is checked as far as it goes", async (context) => {
  const { base, verify } = await makeTarget(context);
  const found = await verify({ target: base });
  assert.deepEqual([found.verdict, found.weightsProven], ["ok", false]);
  assert.deepEqual(
    found.checks.filter(({ status }) => status === "skipped").map(({ name }) => name),
    ["index", "record", "checksums", "sum"],
  );
  assert.equal(CONFIG.vocab_size, 20);
});

test("what can't be read is an error; so is a file, and an interruption", async (context) => {
  const { root, folder, verify } = await makeTarget(context, { checksums: true });
  await refusal(() => verify({ target: join(root, "nowhere") }), "source-not-found");
  await refusal(() => verify({ target: join(folder, SHARD) }), "bad-usage", { file: join(folder, SHARD) });
  const controller = new AbortController();
  const progress = () => controller.abort();
  await refusal(
    () => verify({ reporter: { ...silentReporter, progress }, signal: controller.signal }),
    "interrupted",
    { message: /not verified to the end/ },
  );
});

test("apply --verify: what the disk changed is never published", async (context) => {
  const { root, base, delta } = await makeTarget(context);
  const target = join(root, "checked");
  const path = join(`${target}.incomplete`, "model.safetensors");
  // Once all of the weights are written, one bit of them turns.
  let isDamaged = false;
  const progress = ({ bytesDone, bytesTotal, current }: ProgressUpdate) => {
    // The end may be told twice, and a bit that turns twice is as it was.
    if (isDamaged || current !== "model.safetensors" || bytesDone !== bytesTotal) return;
    isDamaged = true;
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 40) ^ 1, bytes.length - 40);
    writeFileSync(path, bytes);
  };
  const options = { base, delta, target, skipBaseCheck: true, reporter: { ...silentReporter, progress } };
  const error = await refusal(() => applyDelta({ ...options, verify: true }), "target-altered", {
    got: /^sum: .*\[\d+(, \d+)?\] is .* base and delta give/,
  });
  assert.equal(error.exitCode, 7);
  assert.deepEqual([existsSync(target), existsSync(`${target}.incomplete`)], [false, false]);
  // The same damage, unlooked for.
  isDamaged = false;
  await applyDelta(options);
  assert.ok(existsSync(target));
});

test("a shard that failed its verification is not gone on with", async (context) => {
  const { root, base, delta } = await makeTarget(context);
  const target = join(root, "again");
  const shard = join(`${target}.incomplete`, "model-00001-of-00002.safetensors");
  let isDamaged = false;
  const progress = ({ bytesDone, bytesTotal, current }: ProgressUpdate) => {
    if (isDamaged || bytesDone !== bytesTotal || !current.startsWith("model-")) return;
    isDamaged = true;
    const bytes = readFileSync(shard);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 0x80, bytes.length - 1);
    writeFileSync(shard, bytes);
  };
  const options = { base, delta, target, skipBaseCheck: true, maxShardBytes: 6_000, verify: true };
  await refusal(
    () => applyDelta({ ...options, reporter: { ...silentReporter, progress } }),
    "target-altered",
    { got: /^sum: / },
  );
  assert.ok(isDamaged && !existsSync(`${target}.incomplete`));
  assert.equal((await applyDelta(options)).verified, true);
});
