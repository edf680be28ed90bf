/**
 * Reading in bulk: the same bytes through the page cache and past it, whatever the system allows, and by the way that
 * the page cache gives reason for. What a read took from the disk is Linux's own count of it.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, openSync, readFileSync, readSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DiskReads } from "../../src/files/disk-reads.js";
import { openLocalFile } from "../../src/files/local-file.js";
import { READ_MARGIN_BYTES, Reader } from "../../src/files/reader.js";
import type { LocalFile } from "../../src/tensor.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";
import { trueFsync } from "../support/without-fsync.js";

const PAGE = 4096;
const RANGE = 64 * 1024;
const FILE_BYTES = 64 * RANGE + 123;

const content = Buffer.alloc(FILE_BYTES);
for (let i = 0; i + 4 <= FILE_BYTES; i += 4) content.writeUInt32LE(Math.imul(i + 1, 2_654_435_761) >>> 0, i);

/** A file that is on the disk, and in the page cache. */
function fileIn(context: TestContext, folder = temporaryFolder(context)): LocalFile {
  const path = join(folder, "data");
  const fd = openSync(path, "w");
  writeSync(fd, content);
  trueFsync(fd);
  const file = openLocalFile(path);
  context.after(() => file.close());
  return file;
}

function readerFor(context: TestContext): Reader {
  const reader = new Reader();
  context.after(() => reader.close());
  return reader;
}

/** Memory that begins where a page does. */
function pages(byteLength: number): Uint8Array {
  const count = Math.ceil(byteLength / 65_536);
  return new Uint8Array(new WebAssembly.Memory({ initial: count, maximum: count }).buffer);
}

/** Takes a file out of the page cache; false where that can't be done. */
function forget({ path }: LocalFile): boolean {
  return spawnSync("dd", [`if=${path}`, "iflag=nocache", "count=0"]).status === 0;
}

/** Bytes that this process took from disks, in any thread. */
function bytesFromDisk(): number {
  const [, bytes] = /^read_bytes: (\d+)$/m.exec(readFileSync("/proc/self/io", "latin1")) ?? [];
  return Number(bytes);
}

/** Whether this test's files are on a disk whose reads are counted, and leave the page cache when they are asked to. */
function isCounted(file: LocalFile): boolean {
  const reads = new DiskReads();
  const page = new Uint8Array(PAGE);
  const missed = forget(file) ? reads.during(() => readSync(file.fd, page, 0, PAGE, 8 * PAGE)) : null;
  reads.close();
  return missed !== null && missed > 0;
}

/** Reads the file from end to end, in ranges; gives how many bytes came from the disk. */
async function readAll(reader: Reader, file: LocalFile, isFromDisk = false): Promise<number> {
  const memory = pages(RANGE + READ_MARGIN_BYTES);
  const before = bytesFromDisk();
  for (let offsetBytes = 0; offsetBytes + RANGE <= FILE_BYTES; offsetBytes += RANGE) {
    const at = await reader.read({ file, offsetBytes, byteLength: RANGE }, memory, 0, isFromDisk);
    const expected = content.subarray(offsetBytes, offsetBytes + RANGE);
    assert.ok(expected.equals(memory.subarray(at, at + RANGE)), `at ${offsetBytes}`);
  }
  return bytesFromDisk() - before;
}

const OFFSETS = [0, 1, 8, PAGE - 8, PAGE - 1, PAGE, 3 * PAGE + 2, FILE_BYTES - RANGE - 1, FILE_BYTES - 5];
const LENGTHS = [0, 1, 5, PAGE, RANGE - 1, RANGE, RANGE + 1, 2 * RANGE + 17];

for (const [name, isFromDisk, shift] of [
  ["by evidence", false, 0],
  ["from the disk", true, 0],
  ["from the disk to memory that isn't aligned, which the system may refuse", true, 24],
] as const) {
  test(`every offset and length, ${name}`, async (context) => {
    const file = fileIn(context);
    const reader = readerFor(context);
    const memory = pages(2 * PAGE + 3 * RANGE + READ_MARGIN_BYTES).subarray(shift);
    for (const isForgotten of [false, true]) {
      if (isForgotten) forget(file);
      for (const offsetBytes of OFFSETS) {
        for (const byteLength of LENGTHS.filter((length) => offsetBytes + length <= FILE_BYTES)) {
          memory.fill(0xee);
          const at = await reader.read({ file, offsetBytes, byteLength }, memory, PAGE, isFromDisk);
          const where = `${byteLength} bytes at ${offsetBytes} are at ${at}`;
          assert.ok(at % 8 === 0 && at >= PAGE && at < 2 * PAGE, where);
          const expected = content.subarray(offsetBytes, offsetBytes + byteLength);
          assert.ok(expected.equals(memory.subarray(at, at + byteLength)), where);
          const isFree = (byte: number) => byte === 0xee;
          assert.ok(memory.subarray(0, PAGE).every(isFree), where);
          assert.ok(memory.subarray(PAGE + byteLength + READ_MARGIN_BYTES).every(isFree), where);
        }
      }
    }
  });
}

test("what the page cache has is read from there, the rest past it", async (context) => {
  const file = fileIn(context);
  if (!isCounted(file)) return context.skip("reads of this disk aren't counted");
  forget(file);
  assert.ok((await readAll(readerFor(context), file)) >= 64 * RANGE, "all of it comes from the disk");
  assert.ok(
    (await readAll(readerFor(context), file)) >= 60 * RANGE,
    "and the page cache doesn't have it then",
  );
  readFileSync(file.path);
  assert.equal(await readAll(readerFor(context), file), 0);
  assert.ok(
    (await readAll(readerFor(context), file, true)) >= 64 * RANGE,
    "from the disk if that is asked for",
  );
});

for (const [name, start] of [
  ["first", 0],
  ["second", 32 * RANGE],
] as const) {
  test(`a file whose ${name} half is in the page cache`, async (context) => {
    const file = fileIn(context);
    if (!isCounted(file)) return context.skip("reads of this disk aren't counted");
    forget(file);
    // From its end: what is read from its beginning is read ahead by the system.
    const page = new Uint8Array(PAGE);
    for (let at = start + 32 * RANGE - PAGE; at >= start; at -= PAGE) readSync(file.fd, page, 0, PAGE, at);
    const got = await readAll(readerFor(context), file);
    assert.ok(got <= 50 * RANGE, `${got / RANGE} of 64 ranges came from the disk`);
    // A read behind the half makes the system read ahead.
    assert.ok(got >= 16 * RANGE, `${got / RANGE} of 64 ranges came from the disk`);
  });
}

test("files in memory are read as others are", async (context) => {
  if (!existsSync("/dev/shm")) return context.skip("there is no /dev/shm");
  const file = fileIn(context, temporaryFolder(context, "/dev/shm"));
  for (const isFromDisk of [false, true]) await readAll(readerFor(context), file, isFromDisk);
});

test("more files than have a second descriptor at once", async (context) => {
  const files = Array.from({ length: 20 }, () => fileIn(context));
  const reader = readerFor(context);
  const memory = pages(20 * (RANGE + READ_MARGIN_BYTES));
  for (const file of files) forget(file);
  const reads = [...files, ...files].map((file, i) =>
    reader.read(
      { file, offsetBytes: i * RANGE, byteLength: RANGE },
      memory,
      (i % 20) * (RANGE + READ_MARGIN_BYTES),
    ),
  );
  for (const [i, at] of (await Promise.all(reads)).entries()) {
    const expected = content.subarray(((i % 20) + 20) * RANGE, ((i % 20) + 21) * RANGE);
    if (i >= 20) assert.ok(expected.equals(memory.subarray(at, at + RANGE)), `file ${i}`);
  }
});

for (const isFromDisk of [false, true]) {
  test(`a file that ends early, ${isFromDisk ? "on the disk" : "by evidence"}`, async (context) => {
    const file = fileIn(context);
    truncateSync(file.path, 3 * RANGE + 5);
    const reader = readerFor(context);
    const range = { file, offsetBytes: 2 * RANGE, byteLength: 2 * RANGE };
    await refusal(() => reader.read(range, pages(3 * RANGE), 0, isFromDisk), "truncated-file", {
      file: file.path,
      offsetBytes: 3 * RANGE + 5,
    });
  });
}
