/** Verifying a GGUF: what is whole passes, and no changed bit does, quantized or not. */
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import type { GgufEntry } from "../../src/formats/gguf/metadata.js";
import { layOutGguf } from "../../src/formats/gguf/writer.js";
import { type Check, verifyTarget } from "../../src/index.js";
import { RECORD_KEY } from "../../src/target/gguf-record.js";
import { readGgufFile, SOURCES, tinyGguf } from "../support/gguf-target.js";

async function verify(target: string, sources?: typeof SOURCES) {
  const { verdict, checks, weightsProven } = await verifyTarget({ target, ...(sources && { sources }) });
  const checkOf = (name: Check["name"]) => checks.find((check) => check.name === name) as Check;
  return {
    verdict,
    weightsProven,
    checkOf,
    failed: checks.flatMap(({ status, name }) => (status === "failed" ? [name] : [])),
  };
}

/** Writes the file again with other keys. */
async function withKeys(
  path: string,
  change: (keys: readonly GgufEntry[]) => readonly GgufEntry[],
): Promise<void> {
  const { keys, tensors } = await readGgufFile(path);
  const layout = layOutGguf(tensors, change(keys));
  const bytes = Buffer.alloc(layout.byteLength);
  for (const piece of layout.pieces) bytes.set(piece.bytes, piece.offsetBytes);
  for (const { tensor, offsetBytes } of layout.placed) bytes.set(tensor.data, offsetBytes);
  writeFileSync(path, bytes);
}

const changed = (name: string, value: unknown) => (keys: readonly GgufEntry[]) =>
  keys.map((entry) => (entry.key === name ? ({ ...entry, value } as GgufEntry) : entry));

for (const dtype of ["F16", "Q8_0", "Q4_0"] as const) {
  test(`${dtype}: whole, with its sources and without; and no flipped bit passes`, async (context) => {
    const target = await tinyGguf(context, { dtype });
    const alone = await verify(target);
    assert.deepEqual([alone.verdict, alone.weightsProven, alone.failed], ["ok", false, []]);
    const proven = await verify(target, SOURCES);
    assert.deepEqual([proven.verdict, proven.weightsProven, proven.failed], ["ok", true, []]);
    assert.match(proven.checkOf("record").detail, /28 keys of the model as base and delta give them/);
    const { tensors } = await readGgufFile(target);
    const whole = readFileSync(target);
    for (const { name, offsetBytes, data } of tensors.filter((_, i) => i % 13 === 1)) {
      const bytes = Buffer.from(whole);
      const at = offsetBytes + data.length - 1;
      bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at);
      writeFileSync(target, bytes);
      const { failed, checkOf } = await verify(target, SOURCES);
      assert.deepEqual(failed, ["sum"], name);
      assert.match(checkOf("sum").detail, new RegExp(`^${name}\\[.*base and delta give`));
    }
  });
}

test("a model made by another name, in parts, or by llama.cpp itself is verified as well", async (context) => {
  const target = await tinyGguf(context, { dtype: "Q8_0", maxShardBytes: 100_000, checksums: true });
  const part = target.replace(".gguf", "-00002-of-00004.gguf");
  const ofPart = await verify(part, SOURCES);
  assert.deepEqual([ofPart.verdict, ofPart.checkOf("checksums").detail], ["ok", "4 files, every byte"]);
  const single = await tinyGguf(context, { dtype: "Q8_0" });
  const renamed = join(dirname(single), "renamed.gguf");
  renameSync(single, renamed);
  assert.equal((await verify(renamed, SOURCES)).verdict, "ok");
  await withKeys(renamed, (keys) => keys.filter(({ key }) => key !== RECORD_KEY));
  const { verdict, checkOf } = await verify(renamed, SOURCES);
  assert.equal(verdict, "ok");
  assert.match(checkOf("record").detail, /isn't this tool's; 28 keys/);
});

async function failsWith(
  context: TestContext,
  change: Parameters<typeof withKeys>[1],
  expected: readonly Check["name"][],
  sources?: typeof SOURCES,
) {
  const target = await tinyGguf(context, { dtype: "Q8_0" });
  await withKeys(target, change);
  assert.deepEqual((await verify(target, sources)).failed, expected);
}

test("keys that contradict the tensors or each other", async (context) => {
  await failsWith(context, changed("llama.block_count", 5), ["config"]);
  await failsWith(context, changed("llama.vocab_size", 321), ["config"]);
  await failsWith(context, changed("tokenizer.ggml.scores", [0]), ["tokenizer"]);
  await failsWith(context, changed("tokenizer.ggml.bos_token_id", 320), ["tokenizer"]);
  await failsWith(context, changed(RECORD_KEY, "{}"), ["record"]);
});

test("keys that aren't what base and delta give", async (context) => {
  await failsWith(context, changed("llama.rope.freq_base", 5000), []);
  await failsWith(context, changed("llama.rope.freq_base", 5000), ["record"], SOURCES);
  await failsWith(context, changed("tokenizer.ggml.add_bos_token", false), ["record"], SOURCES);
  await failsWith(context, changed("general.name", "Another"), [], SOURCES);
});

test("a file that is cut off, and checksums that don't agree", async (context) => {
  const target = await tinyGguf(context, { checksums: true });
  const bytes = readFileSync(target);
  bytes.writeUInt8((bytes.at(-1) ?? 0) ^ 1, bytes.length - 1);
  writeFileSync(target, bytes);
  assert.deepEqual((await verify(target)).failed, ["checksums"]);
  writeFileSync(target, bytes.subarray(0, -64));
  const { failed, checkOf } = await verify(target, SOURCES);
  assert.deepEqual(failed, ["weights", "checksums"]);
  assert.match(checkOf("weights").detail, /ends before its last tensor/);
});
