/** Merges written as PyTorch files: the same tensors as in safetensors, the checksums of what is really there. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ApplyDeltaOptions, applyDelta } from "../../src/apply/apply-delta.js";
import { closeShardFile, createShardFile } from "../../src/files/output-file.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { compileKernel } from "../../src/kernel/select.js";
import { executePlan } from "../../src/merge/execute-plan.js";
import { matchTensors } from "../../src/merge/match.js";
import { layOut } from "../../src/merge/merge-plan.js";
import { matchRules } from "../../src/merge/options.js";
import { SEGMENT_BYTES } from "../../src/workers/segments.js";
import {
  floats,
  readSafetensorsFile,
  safetensorsFile,
  type Tensor,
  temporaryFolder,
  tinyPair,
  writeModel,
} from "../support/model-folder.js";
import { seededNormals } from "../support/numbers.js";
import { readZipRecords } from "../support/zip-records.js";

const EMBEDDING = "model.embed_tokens.weight";

/** An embedding that grows within a segment, a tensor of three segments and a bit, small ones, none. */
function sides(): { base: Tensor[]; delta: Tensor[] } {
  const normal = seededNormals(9);
  const numbers = (count: number) => Array.from({ length: count }, () => normal() * 0.02);
  const large = numbers(257);
  const repeat = (count: number) => Float64Array.from({ length: count }, (_, i) => large[(i * 7) % 257] ?? 0);
  const count = (3 * SEGMENT_BYTES) / 2 + 77;
  const side = (rows: number) => [
    floats("large", "F16", [count], repeat(count)),
    floats(EMBEDDING, "F16", [rows, 5], numbers(rows * 5)),
    floats("scalar", "F16", [], numbers(1)),
    floats("none", "F16", [0, 3], []),
    ...Array.from({ length: 11 }, (_, i) => floats(`t.${i}`, "F16", [i + 1], numbers(i + 1))),
  ];
  return { base: side(40), delta: side(43) };
}

async function merge(
  context: TestContext,
  { base, delta }: ReturnType<typeof sides>,
  options: Partial<ApplyDeltaOptions>,
): Promise<string> {
  const root = temporaryFolder(context);
  const [from, by] = [join(root, "base.safetensors"), join(root, "delta.safetensors")];
  writeFileSync(from, safetensorsFile(base));
  writeFileSync(by, safetensorsFile(delta));
  const target = join(root, "target");
  await applyDelta({ base: from, delta: by, target, skipBaseCheck: true, ...options });
  return target;
}

for (const dtype of ["auto", "F32", "BF16"] as const) {
  test(`the same tensors as in safetensors, the right checksums, ${dtype}`, async (context) => {
    const pair = sides();
    const safe = readSafetensorsFile(join(await merge(context, pair, { dtype }), "model.safetensors"));
    let one: Buffer | undefined;
    for (const options of [{}, { threads: 3 }, { kernel: "reference" }] as const) {
      const target = await merge(context, pair, { dtype, format: "bin", ...options });
      const file = readFileSync(join(target, "pytorch_model.bin"));
      one ??= file;
      assert.ok(file.equals(one), JSON.stringify(options));
    }
    const records = await readZipRecords(one as Buffer);
    // The target's order is the delta's, which in a safetensors file is by name.
    for (const tensor of safe) {
      const found = [...records.values()].some((bytes) => bytes.equals(tensor.bytes));
      assert.ok(found, tensor.name);
    }
    assert.equal(records.size, safe.length + 2);
  });
}

test("shards and their index are those of save_pretrained, and open again as one checkpoint", async (context) => {
  const root = temporaryFolder(context);
  const { base, delta, tuned } = tinyPair();
  const target = join(root, "target");
  const options = {
    base: writeModel(join(root, "base"), base, { format: "torch", shards: 2 }),
    delta: writeModel(join(root, "delta"), delta, { format: "torch" }),
    target,
    maxShardBytes: 18_000,
  };
  const safe = await applyDelta(options);
  const bytesOf = new Map(
    safe.shards
      .flatMap(({ file }) => readSafetensorsFile(join(target, file)))
      .map(({ name, bytes }) => [name, Buffer.from(bytes)]),
  );
  const summary = await applyDelta({ ...options, format: "bin", overwrite: true });
  const shards = summary.shards.map(({ file }) => file);
  assert.deepEqual(
    shards,
    [1, 2, 3].map((shard) => `pytorch_model-0000${shard}-of-00003.bin`),
  );
  const weights = readdirSync(target).filter((name) => /safetensors|\.bin/.test(name));
  assert.deepEqual(weights.sort(), [...shards, "pytorch_model.bin.index.json"].sort(), "nothing of before");
  const index = JSON.parse(readFileSync(join(target, "pytorch_model.bin.index.json"), "utf8")) as {
    metadata: { total_size: number };
    weight_map: Record<string, string>;
  };
  assert.equal(
    index.metadata.total_size,
    tuned.reduce((sum, { bytes }) => sum + bytes.length, 0),
  );
  const checkpoint = await openCheckpoint(target);
  try {
    assert.deepEqual(checkpoint.formats, ["torch-zip"]);
    assert.deepEqual(
      checkpoint.tensors.map(({ name }) => name),
      tuned.map(({ name }) => name),
    );
    for (const view of checkpoint.tensors) {
      const want = bytesOf.get(view.name) ?? assert.fail(view.name);
      const { file, offsetBytes } = view.pieces[0];
      assert.equal(file.path, join(target, index.weight_map[view.name] ?? ""));
      const got = await file.read(offsetBytes, want.length);
      assert.ok(want.equals(Buffer.from(got)), view.name);
    }
  } finally {
    checkpoint.close();
  }
});

test("a name that safetensors keeps for itself is no trouble", async (context) => {
  const tensors = [floats("__metadata__", "F16", [2], [1, 2])];
  const root = temporaryFolder(context);
  const model = (name: string) => writeModel(join(root, name), tensors, { format: "torch" });
  const options = { base: model("base"), delta: model("delta"), target: join(root, "target") };
  await applyDelta({ ...options, format: "bin", skipBaseCheck: true });
  const file = readFileSync(join(root, "target", "pytorch_model.bin"));
  const data = (await readZipRecords(file)).get("pytorch_model/data/0");
  assert.deepEqual(data, Buffer.from(Uint16Array.of(0x4000, 0x4400).buffer));
});

test("a shard that counts as finished has its checksums; one that is kept is left alone", async (context) => {
  const root = temporaryFolder(context);
  const { base, delta } = tinyPair();
  const open = async (name: string, tensors: readonly Tensor[]) => {
    const checkpoint = await openCheckpoint(writeModel(join(root, name), tensors));
    context.after(() => checkpoint.close());
    return { tensors: checkpoint.tensors, tiesEmbeddings: false };
  };
  const [from, by] = [await open("base", base), await open("delta", delta)];
  const rules = matchRules.parse({});
  const plan = layOut(matchTensors(from, by, rules), {
    dtype: "auto",
    format: "bin",
    maxShardBytes: 20_000,
    scale: 1,
  });
  const kept = 1;
  const outputs = plan.shards.map(({ fileName, byteLength, pieces }, i) =>
    i === kept ? null : createShardFile(join(root, fileName), byteLength, pieces, { isDurable: true }),
  );
  const finished: number[] = [];
  await executePlan({
    plan,
    outputs,
    kernel: await compileKernel("auto"),
    threads: 2,
    signal: undefined,
    onProgress() {},
    async finishShard(shard) {
      const { fileName, placed } = plan.shards[shard] ?? assert.fail();
      const records = await readZipRecords(readFileSync(join(root, fileName)));
      assert.equal(records.size, placed.length + 2);
      finished.push(shard);
    },
  });
  for (const output of outputs) if (output !== null) closeShardFile(output);
  assert.deepEqual(finished.sort(), [0, 2]);
});
