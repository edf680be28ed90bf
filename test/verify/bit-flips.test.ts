/** One bit of a target flips, anywhere: it is found, and said where. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openCheckpoint } from "../../src/formats/open.js";
import { PROVENANCE, readProvenance } from "../../src/target/provenance.js";
import { CHECKSUMS } from "../../src/target/sha256sums.js";
import { bytesOf, elementCount } from "../../src/tensor.js";
import { checkChecksums, checkRecord } from "../../src/verify/check-files.js";
import type { Check } from "../../src/verify/documents.js";
import { readSafetensorsFile } from "../support/model-folder.js";
import { seededNormals } from "../support/numbers.js";
import { refusal } from "../support/refusal.js";
import { checkOf, failuresOf, makeTarget, withFlippedBit } from "../support/verified-target.js";

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

test("each byte of each small file, by the checksums and by the record", async (context) => {
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
    for (let byte = 0; byte < statSync(path).size; byte++) {
      const where = `${name}, byte ${byte}, bit ${bitAt(byte)}`;
      await withFlippedBit(path, byte, bitAt(byte), async () => {
        // What the one doesn't cover, the other does; most are covered by both. Turns keep the test short.
        if (name !== PROVENANCE && (name === CHECKSUMS || byte % 4 === 0))
          await mustFail(checksums, name, where);
        if (name !== CHECKSUMS && (name === PROVENANCE || byte % 4 !== 0))
          await mustFail(record, name, where);
      });
    }
  }
  assert.equal((await verify()).verdict, "ok");
});

test("the header of a shard: every byte is in the record", async (context) => {
  const { folder, verify } = await makeTarget(context);
  const name = "model-00002-of-00002.safetensors";
  const path = join(folder, name);
  const headerLength = 8 + Number(readFileSync(path).readBigUInt64LE(0));
  const provenance = readProvenance(folder);
  for (let byte = 0; byte < headerLength; byte++) {
    await withFlippedBit(path, byte, bitAt(byte), async () => {
      const where = `byte ${byte}`;
      const opened = await openCheckpoint(folder).catch(() => null);
      if (opened === null) return;
      await mustFail(() => checkRecord({ folder }, provenance, opened), name, where);
      opened.close();
    });
  }
  // Valid, and another header: only its digest tells.
  const at = readFileSync(path).indexOf('"pt"') + 1;
  const found = await withFlippedBit(path, at, 0, () => verify());
  assert.deepEqual(failuresOf(found), ["record"]);
  assert.equal(checkOf(found, "record").detail, `the header of ${name} was changed`);
  // Not valid any more: the check that opens the file says so.
  const broken = await withFlippedBit(path, 8, 3, () => verify());
  assert.ok(failuresOf(broken).includes("weights"));
  assert.match(checkOf(broken, "weights").detail, new RegExp(name));
});

test("a .bin file: what is no tensor's data, between the tensors too, is in the record", async (context) => {
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
  // Both ends are long; what is in between is looked at whole.
  for (const byte of bytes.filter((at) => (at > first && at < last) || at % 5 === 0)) {
    await withFlippedBit(path, byte, bitAt(byte), async () => {
      const opened = await openCheckpoint(folder).catch(() => null);
      if (opened === null) return;
      await mustFail(() => checkRecord({ folder }, provenance, opened), name, `byte ${byte}`);
      opened.close();
    });
  }
});

test("weights: the checksums name the file, the sum names tensor and element", async (context) => {
  const { folder, verify } = await makeTarget(context, { checksums: true });
  const normal = seededNormals(3);
  const names = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
  assert.equal(names.length, 2);
  const changed = new Set<string>();
  for (let turn = 0; turn < 24; turn++) {
    const name = names[turn % 2] as string;
    const path = join(folder, name);
    const tensors = readSafetensorsFile(path);
    const tensor = tensors[Math.floor(Math.abs(normal()) * 1e6) % tensors.length];
    assert.ok(tensor !== undefined);
    const inTensor = Math.floor(Math.abs(normal()) * 1e6) % tensor.bytes.length;
    const dataStart = 8 + Number(readFileSync(path).readBigUInt64LE(0));
    const before = tensors
      .slice(0, tensors.indexOf(tensor))
      .reduce((sum, { bytes }) => sum + bytes.length, 0);
    const found = await withFlippedBit(path, dataStart + before + inTensor, turn % 8, () =>
      verify({ withSources: true, threads: 1 + (turn % 3) }),
    );
    assert.equal(found.verdict, "failed");
    assert.ok(failuresOf(found).includes("checksums") && failuresOf(found).includes("sum"), `turn ${turn}`);
    assert.equal(checkOf(found, "checksums").detail, `${name} was changed`);
    const element = Math.floor(inTensor / 2);
    const width = tensor.shape.at(-1) ?? 1;
    const index = tensor.shape.length === 1 ? [element] : [Math.floor(element / width), element % width];
    const { detail } = checkOf(found, "sum");
    assert.ok(
      detail.startsWith(`${tensor.name}[${index.join(", ")}] is `),
      `${detail} for ${tensor.name} ${index}`,
    );
    assert.match(
      detail,
      /\(0x[0-9a-f]{4}\), base and delta give .* \(0x[0-9a-f]{4}\) \(1 of its elements differ\)$/,
    );
    changed.add(tensor.name);
  }
  assert.ok(changed.size > 5);
});

test("without checksums and without sources, the verdict claims no more than was looked at", async (context) => {
  const { folder, verify } = await makeTarget(context);
  const path = join(folder, "model-00001-of-00002.safetensors");
  const last = statSync(path).size - 2;
  const found = await withFlippedBit(path, last, 0, () => verify());
  assert.deepEqual([found.verdict, found.weightsProven], ["ok", false]);
  assert.equal((await verify({ withSources: true })).weightsProven, true);
});

test("a record that is gone is missed by the other", async (context) => {
  const { folder, verify } = await makeTarget(context, { checksums: true });
  rmSync(join(folder, CHECKSUMS));
  assert.equal(checkOf(await verify(), "record").detail, `${CHECKSUMS} is missing`);
  const other = await makeTarget(context, { checksums: true });
  rmSync(join(other.folder, PROVENANCE));
  const found = await other.verify();
  assert.deepEqual(failuresOf(found), ["checksums"]);
  assert.equal(checkOf(found, "checksums").detail, `${PROVENANCE} is missing`);
});
