/** Every way a legacy stream can be bad, each with the error it must give. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ErrorCode, isApplyDeltaError } from "../../src/errors.js";
import { memoryFile } from "../support/memory-file.js";
import { readTorchLegacy } from "../support/readers.js";
import {
  assemble,
  gather,
  type LegacySample,
  legacyStream,
  long,
  pickle,
  stateDict,
  tensor,
  text,
  u16,
  u64,
} from "../support/torch-samples.js";

async function refuses(parts: LegacySample, code: ErrorCode): Promise<void> {
  const error = await readTorchLegacy(memoryFile(legacyStream(parts), "bad.bin")).catch(
    (caught: unknown) => caught,
  );
  assert.ok(isApplyDeltaError(error), `expected ${code}, got ${error}`);
  assert.equal(error.code, code, error.format());
  assert.equal(error.details.file, "bad.bin");
}

const legacyTensor = (view: Buffer) => stateDict({ weight: tensor({ legacyView: view }) });
const viewOf = (start: number | bigint, size: number | bigint) =>
  assemble("(", text("view"), long(BigInt(start)), long(BigInt(size)), "t");

test("the sample stream is good", async () => {
  const file = memoryFile(legacyStream({ data: assemble(u64(4n), "12345678") }));
  const [view] = await readTorchLegacy(file);
  assert.ok(view !== undefined);
  assert.equal(gather(view).toString(), "12345678");
});

test("another pickle, another protocol", async () => {
  await refuses({ magic: pickle("K", 1) }, "foreign-format");
  await refuses({ magic: pickle("}") }, "foreign-format");
  await refuses({ protocol: pickle("M", u16(1002)) }, "pickle-malformed");
});

test("byte order", async () => {
  await refuses({ systemInfo: pickle("}", text("little_endian"), 0x89, "s") }, "big-endian");
  await refuses({ systemInfo: pickle("}") }, "pickle-malformed");
  await refuses({ systemInfo: pickle("N") }, "pickle-malformed");
});

test("the storage keys", async () => {
  await refuses({ keys: pickle("N") }, "pickle-malformed");
  await refuses({ keys: pickle("](K", 0, "e") }, "pickle-malformed");
  await refuses({ keys: pickle("](", text("0"), text("0"), "e") }, "pickle-malformed");
  await refuses({ keys: pickle("](", text("0"), text("1"), "e") }, "pickle-malformed");
  await refuses({ keys: pickle("]"), data: Buffer.alloc(0) }, "storage-missing");
});

test("counts and data", async () => {
  await refuses({ data: assemble(u64(5n), Buffer.alloc(8)) }, "storage-size");
  await refuses({ data: assemble(u64(2n ** 64n - 1n), Buffer.alloc(8)) }, "storage-size");
  await refuses({ data: assemble(u64(4n), Buffer.alloc(7)) }, "truncated-file");
  await refuses({ data: Buffer.alloc(0) }, "truncated-file");
  await refuses({ data: assemble(u64(4n), Buffer.alloc(9)) }, "overlong-file");
  const huge = stateDict({ w: tensor({ numel: Number.MAX_SAFE_INTEGER, legacyView: assemble("N") }) });
  await refuses({ object: huge }, "truncated-file");
});

test("storage views", async () => {
  await refuses({ object: legacyTensor(viewOf(1, 4)) }, "pickle-malformed");
  await refuses({ object: legacyTensor(viewOf(-1, 2)) }, "pickle-malformed");
  await refuses({ object: legacyTensor(viewOf(0, 2n ** 60n)) }, "pickle-malformed");
  await refuses({ object: legacyTensor(assemble("K", 1)) }, "pickle-malformed");
  await refuses({ object: legacyTensor(assemble(")")) }, "pickle-malformed");
  await refuses({ object: legacyTensor(viewOf(1, 3)) }, "view-out-of-bounds");
  const object = stateDict({ weight: tensor({ shape: [3], legacyView: viewOf(1, 3) }) });
  const [view] = await readTorchLegacy(
    memoryFile(legacyStream({ object, data: assemble(u64(4n), "12345678") })),
  );
  assert.ok(view !== undefined);
  assert.equal(gather(view).toString(), "345678");
});

test("a persistent id of five items is none of a legacy stream", async () => {
  await refuses({ object: stateDict({ weight: tensor() }) }, "pickle-malformed");
});

test("a pickle longer than the first window is read again, one without end is not", async () => {
  const view = assemble("N");
  const names = Array.from({ length: 3000 }, (_, i) => `layer.${i}.${"x".repeat(40)}`);
  const object = stateDict(Object.fromEntries(names.map((name) => [name, tensor({ legacyView: view })])));
  const file = memoryFile(legacyStream({ object }));
  assert.equal((await readTorchLegacy(file)).length, names.length);
  await refuses(
    { object: assemble(0x80, 2, "B", Buffer.alloc(4, 0xff), Buffer.alloc(17 * 1024 * 1024)) },
    "pickle-too-large",
  );
});

test("of a large file only the pickles and counts are read", async () => {
  const numel = 8 * 1024 * 1024;
  const object = stateDict({ weight: tensor({ numel, shape: [numel], legacyView: assemble("N") }) });
  const file = memoryFile(
    legacyStream({ object, data: assemble(u64(BigInt(numel)), Buffer.alloc(2 * numel)) }),
  );
  await readTorchLegacy(file);
  assert.ok(file.bytesRead < 512 * 1024, `${file.bytesRead} bytes`);
});
