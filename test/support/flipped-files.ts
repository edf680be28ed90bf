/** One bit flips in a target outside of its weights: the records tell. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openCheckpoint } from "../../src/formats/open.js";
import { PROVENANCE, readProvenance } from "../../src/target/provenance.js";
import { CHECKSUMS } from "../../src/target/sha256sums.js";
import { bytesOf, elementCount } from "../../src/tensor.js";
import { checkChecksums, checkRecord } from "../../src/verify/check-files.js";
import type { Check } from "../../src/verify/documents.js";
import { refusal } from "./refusal.js";
import { makeTarget, withFlippedBit } from "./verified-target.js";

/** Every bit's turn comes, at one place or another. */
const bitAt = (byte: number) => (byte * 3 + (byte >> 3)) % 8;

async function mustFail(check: () => Promise<Check>, file: string, where: string): Promise<void> {
  let outcome: Check;
  try {
    outcome = await check();
  } catch (error) {
    await refusal(() => Promise.reject(error), "record-malformed", { file: /.*/ });
    return;
  }
  assert.equal(outcome.status, "failed", where);
  if (file !== CHECKSUMS) assert.ok(outcome.detail.includes(file), `${where}: ${outcome.detail}`);
}

/** Tests each `step`th byte; a prime, so that every bit has its turn. */
export function testFlips(step: number): void {
  test("each byte of each small file, by the checksums and by the record", (context) =>
    flipSmallFiles(context, step));
  test("the header of a shard: every byte is in the record", (context) => flipHeader(context, step));
  test("a .bin file: what is no tensor's data, between the tensors too, is in the record", (context) =>
    flipBinFile(context, step));
}

async function flipSmallFiles(context: TestContext, step: number): Promise<void> {
  const { folder, verify } = await makeTarget(context, { checksums: true });
  assert.equal((await verify()).verdict, "ok");
  const small = readdirSync(folder).filter((name) => !name.endsWith(".safetensors"));
  for (const name of [
    CHECKSUMS,
    PROVENANCE,
    "config.json",
    "tokenizer.model",
    "model.safetensors.index.json",
  ])
    assert.ok(small.includes(name), name);
  const checksums = () => checkChecksums({ folder }, {});
  const record = () => checkRecord({ folder }, readProvenance(folder), null);
  for (const name of small) {
    const path = join(folder, name);
    for (let byte = 0; byte < statSync(path).size; byte += step) {
      const where = `${name}, byte ${byte}, bit ${bitAt(byte)}`;
      await withFlippedBit(path, byte, bitAt(byte), async () => {
        const turn = byte / step;
        // What the one doesn't cover, the other does; most are covered by both. Turns keep the test short.
        if (name !== PROVENANCE && (name === CHECKSUMS || turn % 4 === 0))
          await mustFail(checksums, name, where);
        if (name !== CHECKSUMS && (name === PROVENANCE || turn % 4 !== 0))
          await mustFail(record, name, where);
      });
    }
  }
  assert.equal((await verify()).verdict, "ok");
}

async function flipHeader(context: TestContext, step: number): Promise<void> {
  const { folder } = await makeTarget(context);
  const name = "model-00002-of-00002.safetensors";
  const path = join(folder, name);
  const headerLength = 8 + Number(readFileSync(path).readBigUInt64LE(0));
  const provenance = readProvenance(folder);
  for (let byte = 0; byte < headerLength; byte += step) {
    await withFlippedBit(path, byte, bitAt(byte), async () => {
      const where = `byte ${byte}`;
      const opened = await openCheckpoint(folder).catch(() => null);
      if (opened === null) return;
      await mustFail(() => checkRecord({ folder }, provenance, opened), name, where);
      opened.close();
    });
  }
}

async function flipBinFile(context: TestContext, step: number): Promise<void> {
  const { folder } = await makeTarget(context, { format: "bin" });
  const name = "pytorch_model-00002-of-00002.bin";
  const path = join(folder, name);
  const provenance = readProvenance(folder);
  const whole = await openCheckpoint(folder);
  const isData = new Uint8Array(statSync(path).size);
  for (const { shape, dtype, pieces } of whole.tensors) {
    const [{ file, offsetBytes }] = pieces;
    if (file.path === path)
      isData.fill(1, offsetBytes, offsetBytes + elementCount(shape) * bytesOf(dtype as "F16"));
  }
  whole.close();
  const bytes = Array.from(isData.keys()).filter((byte) => isData[byte] === 0);
  const [first = 0, last = 0] = [isData.indexOf(1), isData.lastIndexOf(1)];
  assert.ok(bytes.some((byte) => byte > first && byte < last));
  for (const byte of bytes.filter((_, i) => i % step === 0)) {
    await withFlippedBit(path, byte, bitAt(byte), async () => {
      const opened = await openCheckpoint(folder).catch(() => null);
      if (opened === null) return;
      await mustFail(() => checkRecord({ folder }, provenance, opened), name, `byte ${byte}`);
      opened.close();
    });
  }
}
