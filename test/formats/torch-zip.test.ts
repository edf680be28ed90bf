/** Every way the zip of a checkpoint can be bad, each with the error it must give. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isApplyDeltaError } from "../../src/errors.js";
import { fixtureFile, memoryFile } from "../support/memory-file.js";
import { readTorchZip } from "../support/readers.js";
import {
  assemble,
  checkpointEntries,
  gather,
  stateDict,
  storedZip,
  tensor,
  u16,
  u32,
  u64,
  type ZipEntrySample,
} from "../support/torch-samples.js";

import { changed, GOOD, refuses } from "../support/zip-refusals.js";

test("the sample checkpoint is good", async () => {
  const file = memoryFile(storedZip(checkpointEntries(GOOD, { "0": Buffer.from("12345678") })));
  const [view, ...others] = await readTorchZip(file);
  assert.ok(view !== undefined && others.length === 0);
  assert.equal(gather(view).toString(), "12345678");
});

test("zip64 sizes and offsets are read from the directory", async () => {
  const listed = { byteLength: 0xffffffff, extra: assemble(u16(1), u16(16), u64(8n), u64(8n)) };
  const [view] = await readTorchZip(memoryFile(storedZip(changed("data/0", { directory: listed }))));
  assert.equal(view?.name, "weight");
});

test("a storage of five gigabytes and the entries behind it", async () => {
  const shift = 5 * 2 ** 30;
  const pkl = stateDict({ large: tensor({ numel: shift / 2 }), small: tensor({ key: "1" }) });
  const entries = checkpointEntries(pkl, { "0": Buffer.alloc(0), "1": Buffer.from("12345678") });
  const close = storedZip(entries);
  // Where the large data goes, where each later entry was, and where the directory was, all before the shift.
  const starts: number[] = [];
  for (let at = 0; at !== -1; at = close.indexOf("PK\x03\x04", at + 1, "latin1")) starts.push(at);
  const cut = starts[2] ?? 0;
  const size = assemble(u16(1), u16(16), u64(BigInt(shift)), u64(BigInt(shift)));
  const far = entries.map((entry, i): ZipEntrySample => {
    if (i === 0) return entry;
    if (i === 1) return { ...entry, directory: { byteLength: 0xffffffff, extra: size } };
    const extra = assemble(u16(1), u16(8), u64(BigInt((starts[i] ?? 0) + shift)));
    return { ...entry, directory: { headerOffset: 0xffffffff, extra } };
  });
  const directoryStart = close.indexOf("PK\x01\x02", 0, "latin1");
  const recordStart = storedZip(far).length - 22;
  const count = u64(BigInt(far.length));
  const record = assemble(
    "PK\x06\x06",
    u64(44n),
    Buffer.alloc(12),
    count,
    count,
    u64(0n),
    u64(BigInt(directoryStart + shift)),
  );
  const locator = assemble("PK\x06\x07", u32(0), u64(BigInt(recordStart + shift)), u32(1));
  const real = memoryFile(storedZip(far, { before: assemble(record, locator), directoryOffset: 0xffffffff }));
  const file = {
    path: "far.bin",
    byteLength: real.byteLength + shift,
    read: async (offset: number, byteLength: number) => {
      if (offset + byteLength <= cut) return real.read(offset, byteLength);
      // What yauzl's window takes of the data before the directory is zeros.
      const from = Math.max(offset, cut + shift);
      const zeros = Buffer.alloc(from - offset);
      return assemble(zeros, Buffer.from(await real.read(from - shift, offset + byteLength - from)));
    },
  };
  const [large, small] = await readTorchZip(file);
  assert.ok((large?.pieces[0].offsetBytes ?? 0) <= cut);
  assert.equal(small?.pieces[0].offsetBytes, real.bytes.indexOf("12345678") + shift);
});

test("not a zip at all, or no end", async () => {
  await refuses(Buffer.alloc(0), "truncated-file");
  await refuses(Buffer.alloc(100), "truncated-file");
  const whole = storedZip(checkpointEntries(GOOD));
  await refuses(whole.subarray(0, whole.length - 22), "truncated-file");
});

test("bytes after the end", async () => {
  await refuses(assemble(storedZip(checkpointEntries(GOOD)), "more"), "zip-malformed");
});

test("a plain zip, a program, a checkpoint beside something else", async () => {
  await refuses(storedZip([]), "foreign-format", /not one that torch.save wrote/);
  await refuses(storedZip([{ name: "weight.npy", data: Buffer.alloc(8) }]), "foreign-format");
  await refuses(storedZip([{ name: "data.pkl", data: GOOD }]), "foreign-format");
  await refuses(storedZip([{ name: "a/b/data.pkl", data: GOOD }]), "foreign-format");
  const entries = checkpointEntries(GOOD);
  await refuses(
    storedZip([...entries, { name: "archive/constants.pkl", data: GOOD }]),
    "foreign-format",
    /TorchScript/,
  );
  await refuses(
    storedZip([...entries, { name: "archive/code/a.py", data: GOOD, method: 8 }]),
    "foreign-format",
    /TorchScript/,
  );
  await refuses(storedZip([...entries, { name: "README", data: GOOD }]), "foreign-format", /README/);
});

test("compressed and encrypted entries, used or not", async () => {
  for (const name of ["data.pkl", "data/0", "version"]) {
    await refuses(storedZip(changed(name, { method: 8 })), "zip-entry-compressed");
    await refuses(storedZip(changed(name, { flags: 0x801 })), "zip-malformed");
  }
});

test("names that are unsafe or given twice", async () => {
  for (const name of ["archive/../evil", "/archive/x", "archive\\x", "C:/x"]) {
    await refuses(storedZip([...checkpointEntries(GOOD), { name, data: GOOD }]), "zip-malformed");
  }
  const entries = checkpointEntries(GOOD);
  await refuses(storedZip([...entries, ...entries.slice(1, 2)]), "zip-malformed", /two entries named/);
});

test("entries past the end, into the directory, over each other", async () => {
  const entries = checkpointEntries(GOOD);
  const data = (directory: ZipEntrySample["directory"]) =>
    storedZip(changed("data/0", directory ? { directory } : {}));
  await refuses(data({ byteLength: 0x7fffffff }), "zip-malformed", /overlaps/);
  await refuses(data({ headerOffset: 0x7fffffff }), "zip-malformed", /past the end/);
  await refuses(data({ headerOffset: 0 }), "zip-malformed");
  await refuses(data({ byteLength: 9 + 30 }), "zip-malformed");
  const last = { ...(entries[2] as ZipEntrySample), directory: { byteLength: 13 } };
  await refuses(storedZip([...entries.slice(0, 2), last]), "zip-malformed", /directory/);
});

test("a local extra field that pushes data into the next entry", async () => {
  const zip = storedZip(checkpointEntries(GOOD));
  const local = zip.indexOf("PK\x03\x04", 4, "latin1");
  zip.writeUInt16LE(zip.readUInt16LE(local + 28) + 1, local + 28);
  await refuses(zip, "zip-malformed", /overlaps/);
});

test("a local header that is another entry's, or none", async () => {
  await refuses(storedZip(changed("data/0", { localName: "archive/data/1" })), "zip-malformed", /not where/);
  const zip = storedZip(checkpointEntries(GOOD));
  zip[zip.indexOf("PK\x03\x04", 4, "latin1")] = 0;
  await refuses(zip, "zip-malformed", /not where/);
});

test("wrong zip64 fields", async () => {
  const extra = (...parts: Buffer[]) => ({
    directory: { byteLength: 0xffffffff, extra: assemble(u16(1), ...parts) },
  });
  await refuses(storedZip(changed("data/0", extra(u16(16), u64(8n), u64(9n)))), "zip-malformed");
  await refuses(storedZip(changed("data/0", extra(u16(8), u64(8n)))), "zip-malformed");
  await refuses(storedZip(changed("data/0", extra(u16(40), u64(8n), u64(8n)))), "zip-malformed");
  await refuses(
    storedZip(changed("data/0", extra(u16(16), u64(2n ** 63n), u64(2n ** 63n)))),
    "zip-malformed",
  );
  const locator = (offset: bigint) => assemble("PK\x06\x07", u32(0), u64(offset), u32(1));
  for (const offset of [0n, 10n ** 9n, 2n ** 63n, 2n ** 64n - 1n]) {
    await refuses(storedZip(checkpointEntries(GOOD), { before: locator(offset) }), "zip-malformed");
  }
  const record = (count: bigint) =>
    assemble("PK\x06\x06", u64(44n), Buffer.alloc(12), u64(count), u64(count), u64(0n), u64(0n));
  const entries = checkpointEntries(GOOD);
  const start = storedZip(entries).length - 22;
  for (const count of [0n, 1n, 2n ** 40n, 2n ** 64n - 1n]) {
    const before = assemble(record(count), locator(BigInt(start)));
    const error = await readTorchZip(memoryFile(storedZip(entries, { before }))).catch(
      (caught: unknown) => caught,
    );
    assert.ok(isApplyDeltaError(error), String(error));
  }
});

test("a wrong entry count or directory offset", async () => {
  const entries = checkpointEntries(GOOD);
  await refuses(storedZip(entries, { entryCount: 2 }), "zip-malformed", /does not end where/);
  await refuses(storedZip(entries, { entryCount: 4 }), "zip-malformed");
  await refuses(storedZip(entries, { entryCount: 65535 }), "zip-malformed");
  await refuses(storedZip(entries, { directoryOffset: 0 }), "zip-malformed");
  await refuses(storedZip(entries, { directoryOffset: 0xfffffff0 }), "zip-malformed");
});

test("byte order", async () => {
  const withOrder = (order: string) =>
    storedZip([...checkpointEntries(GOOD), { name: "archive/byteorder", data: Buffer.from(order) }]);
  assert.equal((await readTorchZip(memoryFile(withOrder("little")))).length, 1);
  for (const order of ["big", "", "Little", "little\n", "x".repeat(1000)])
    await refuses(withOrder(order), "big-endian");
});

test("thousands of storages are located with one small read each", async () => {
  const count = 2000;
  const keys = Array.from({ length: count }, (_, i) => String(i));
  const tensors = Object.fromEntries(keys.map((key) => [`layer.${key}.weight`, tensor({ key })]));
  const records = Object.fromEntries(keys.map((key) => [key, Buffer.alloc(8)]));
  const file = memoryFile(storedZip(checkpointEntries(stateDict(tensors), records)));
  const views = await readTorchZip(file);
  assert.equal(views.length, count);
  assert.ok(file.reads < count + 10, `${file.reads} reads`);
});

test("a read that fails is passed on as it is", async () => {
  const whole = fixtureFile("torch/views.bin");
  const good = await readTorchZip(whole);
  assert.equal(good.length, 12);
  for (let failAt = 1; failAt <= whole.reads; failAt++) {
    const file = fixtureFile("torch/views.bin");
    const failure = new Error(`read ${failAt}`);
    const flaky = {
      ...file,
      read: (at: number, length: number) => (file.reads === failAt - 1 ? fail() : file.read(at, length)),
    };
    const fail = () => Promise.reject(failure);
    await assert.rejects(
      readTorchZip(flaky),
      (error) => error === failure || (error as Error).cause === failure,
    );
  }
});
