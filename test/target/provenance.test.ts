/** The record of a merge: round trip, reproducible to the byte, and refused where it isn't as it was written. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { applyDelta } from "../../src/apply/apply-delta.js";
import { encodeProvenance, PROVENANCE, readProvenance } from "../../src/target/provenance.js";
import { CHECKSUMS, readChecksums } from "../../src/target/sha256sums.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { makeTarget } from "../support/verified-target.js";

test("what was written is read", async (context) => {
  const { folder } = await makeTarget(context, { scale: 0.25, dtype: "BF16", checksums: true });
  const read = readProvenance(folder);
  assert.ok(read !== null);
  const { format: _, program, target, ...merge } = read;
  assert.equal(program.name, "vicuna-apply-delta");
  assert.equal(encodeProvenance(merge, target), readFileSync(join(folder, PROVENANCE), "utf8"));
  assert.deepEqual([merge.scale, merge.dtype, merge.baseCheck], [0.25, "BF16", null]);
  assert.deepEqual([merge.base.reference, merge.base.revision], ["base", null]);
  assert.deepEqual([merge.delta.reference, merge.delta.revision], ["delta", null]);
  assert.deepEqual(
    merge.delta.files.map(({ name }) => name),
    ["pytorch_model.bin"],
  );
  assert.deepEqual(
    [...target.weights, ...target.files].map(({ name }) => name).sort(),
    readdirSync(folder)
      .filter((name) => name !== PROVENANCE && name !== CHECKSUMS)
      .sort(),
  );
  assert.equal(target.checksums, true);
});

test("there is none in a folder of someone else's", async (context) => {
  const folder = temporaryFolder(context);
  assert.equal(readProvenance(folder), null);
  assert.equal(readChecksums(folder), null);
});

test("two merges in two folders give the same bytes, whatever kernel and threads", async (context) => {
  const { root, base, delta, folder } = await makeTarget(context, { checksums: true });
  const other = join(temporaryFolder(context), "deeper", "target");
  await applyDelta({
    base,
    delta,
    target: other,
    skipBaseCheck: true,
    maxShardBytes: 6_000,
    checksums: true,
    kernel: "reference",
  });
  const names = readdirSync(folder).sort();
  assert.deepEqual(readdirSync(other).sort(), names);
  for (const name of names) {
    const bytes = readFileSync(join(other, name));
    assert.deepEqual(bytes, readFileSync(join(folder, name)), name);
    assert.ok(
      !bytes.includes(root) && !bytes.includes(basename(root)),
      `${name} names a folder of this machine`,
    );
  }
});

test("any other text is refused", async (context) => {
  const { folder } = await makeTarget(context);
  const path = join(folder, PROVENANCE);
  const text = readFileSync(path, "utf8");
  const record = JSON.parse(text) as Record<string, unknown>;
  const cases: [string, string, RegExp][] = [
    ["no JSON", "{", /not a JSON object/],
    ["no object", "[]", /not a JSON object/],
    [
      "of another program",
      JSON.stringify({ ...record, program: { name: "x", version: "1" } }),
      /isn't a record of this/,
    ],
    ["of a later format", JSON.stringify({ ...record, format: 2 }), /is of a later version/],
    ["an unknown field", JSON.stringify({ ...record, more: 1 }), /isn't a record of this program/],
    ["a path for a name", text.replace('"model-00001', '"../model-00001'), /isn't a record of this program/],
    ["another value", text.replace('"scale": 1,', '"scale": 2,'), /its own digest/],
    ["another spelling", text.replace('"scale": 1,', '"scale": 1.0,'), /its own digest/],
    ["a field twice", text.replace('"scale": 1,', '"scale": 1,\n  "scale": 1,'), /its own digest/],
    ["without the last line's end", text.trimEnd(), /its own digest/],
    [
      "without its digest",
      `${text.slice(0, text.indexOf(',\n  "sha256": "', text.length - 90))}\n}\n`,
      /its own digest/,
    ],
  ];
  for (const [what, changed, message] of cases) {
    assert.notEqual(changed, text, what);
    writeFileSync(path, changed);
    await refusal(() => readProvenance(folder), "record-malformed", { file: path, message });
  }
});

test("sha256sum itself accepts the checksums, and sees a change", async (context) => {
  if (spawnSync("sha256sum", ["--version"]).status !== 0) return context.skip("no sha256sum here");
  const { folder } = await makeTarget(context, { checksums: true });
  const check = () =>
    spawnSync("sha256sum", ["--strict", "-c", CHECKSUMS], { cwd: folder, encoding: "utf8" });
  const { status, stdout } = check();
  assert.equal(status, 0, stdout);
  const names = readdirSync(folder).filter((name) => name !== CHECKSUMS);
  assert.deepEqual(
    stdout,
    names
      .sort()
      .map((name) => `${name}: OK\n`)
      .join(""),
  );
  writeFileSync(join(folder, "config.json"), "{}");
  assert.equal(check().status, 1);
});

test("checksums of others are read; anything else in them is refused", async (context) => {
  const folder = temporaryFolder(context);
  const path = join(folder, CHECKSUMS);
  const digest = "ab".repeat(32);
  writeFileSync(path, `${digest} *z.bin\n${digest}  ./a b.json\n`);
  assert.deepEqual(
    [...(readChecksums(folder) ?? [])],
    [
      ["z.bin", digest],
      ["a b.json", digest],
    ],
  );
  for (const line of [
    "",
    `${digest} a`,
    `${digest.toUpperCase()}  a`,
    `${digest.slice(1)}  a`,
    `${digest}  ../a`,
    `${digest}  /etc/passwd`,
    `\\${digest}  a\\nb`,
    `${digest}  a\n${digest}  a`,
  ]) {
    writeFileSync(path, `${line}\n`);
    await refusal(() => readChecksums(folder), "record-malformed", { file: path });
  }
});
