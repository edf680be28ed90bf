/** One bit of a target flips, anywhere: it is found, and said where. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { PROVENANCE } from "../../src/target/provenance.js";
import { CHECKSUMS } from "../../src/target/sha256sums.js";
import { testFlips } from "../support/flipped-files.js";
import { readSafetensorsFile } from "../support/model-folder.js";
import { seededNormals } from "../support/numbers.js";
import { checkOf, failuresOf, makeTarget, withFlippedBit } from "../support/verified-target.js";

testFlips(31);

test("a header that is valid and another one, and one that isn't valid any more", async (context) => {
  const { folder, verify } = await makeTarget(context);
  const name = "model-00002-of-00002.safetensors";
  const path = join(folder, name);
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

test("weights: the checksums name the file, the sum names tensor and element", async (context) => {
  const { folder, verify } = await makeTarget(context, { checksums: true });
  const normal = seededNormals(3);
  const names = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
  assert.equal(names.length, 2);
  const changed = new Set<string>();
  for (let turn = 0; turn < 12; turn++) {
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
      verify({ withSources: true, ...(turn % 4 === 0 ? { threads: 2 } : {}) }),
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
