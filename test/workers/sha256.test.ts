/** SHA-256 of open files: right for every length, read in one pass, stopped at once. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { appendFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openLocalFile } from "../../src/files/local-file.js";
import type { LocalFile } from "../../src/tensor.js";
import { sha256Files } from "../../src/workers/sha256.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const MIB = 1024 * 1024;

/** A pattern whose length divides no chunk's. */
function bytesOf(length: number): Uint8Array {
  return Buffer.alloc(length, "twenty-three characters");
}

/** Files of these lengths, open until the test ends. */
function filesOf(context: TestContext, lengths: readonly number[]): LocalFile[] {
  const folder = temporaryFolder(context);
  return lengths.map((length, i) => {
    const path = join(folder, `${i}.bin`);
    writeFileSync(path, bytesOf(length));
    const file = openLocalFile(path);
    context.after(() => file.close());
    return file;
  });
}

test("the standard's own example", async (t) => {
  const path = join(temporaryFolder(t), "abc");
  writeFileSync(path, "abc");
  const file = openLocalFile(path);
  t.after(() => file.close());
  // FIPS 180-4, appendix B.1
  const sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assert.deepEqual(await sha256Files([file]), [{ path, byteLength: 3, sha256 }]);
});

test("every length around a chunk, in the order given, on any number of threads", async (t) => {
  const lengths = [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 17, 64];
  const files = filesOf(t, lengths);
  const expected = lengths.map((length) => createHash("sha256").update(bytesOf(length)).digest("hex"));
  for (const threads of [1, 2, 16]) {
    const got = await sha256Files(files, { threads });
    assert.deepEqual(
      got.map(({ sha256 }) => sha256),
      expected,
    );
    assert.deepEqual(
      got.map(({ path }) => path),
      files.map(({ path }) => path),
    );
  }
  assert.deepEqual(await sha256Files([]), []);
});

test("progress ends with all bytes", async (t) => {
  const files = filesOf(t, [2 * MIB, 5]);
  const seen: number[] = [];
  await sha256Files(files, {
    onProgress: ({ bytesDone, bytesTotal }) => {
      assert.equal(bytesTotal, 2 * MIB + 5);
      seen.push(bytesDone);
    },
  });
  assert.equal(seen.at(-1), 2 * MIB + 5);
});

test("a file that became shorter is an error; bytes added later are not read", async (t) => {
  const [whole, cut] = filesOf(t, [10, 2 * MIB]) as [LocalFile, LocalFile];
  truncateSync(cut.path, MIB + 3);
  await refusal(() => sha256Files([whole, cut]), "truncated-file", {
    file: cut.path,
    offsetBytes: MIB + 3,
  });
  appendFileSync(whole.path, "more");
  const [digest] = await sha256Files([whole]);
  assert.equal(digest?.sha256, createHash("sha256").update(bytesOf(10)).digest("hex"));
});

test("a signal stops it, before and during; the files can be closed then", async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "sparse.bin");
  writeFileSync(path, "");
  // Long enough that no machine is done before the signal; holes take no disk.
  truncateSync(path, 20_000 * MIB);
  const file = openLocalFile(path);
  t.after(() => file.close());
  await refusal(() => sha256Files([file], { signal: AbortSignal.abort() }), "interrupted");
  const controller = new AbortController();
  const hashing = sha256Files([file], {
    signal: controller.signal,
    onProgress: ({ bytesDone }) => {
      if (bytesDone > 0) controller.abort();
    },
  });
  await refusal(() => hashing, "interrupted");
});

test("what the disk has is the same, at every length around chunks and reads ahead", async (t) => {
  const lengths = [0, 1, 1, 2, 4, 5, 9].flatMap((chunks) => [
    chunks * MIB,
    chunks * MIB + 1,
    chunks * MIB + 4095,
  ]);
  const files = filesOf(t, [...lengths, MIB - 1, 4 * MIB - 1]);
  const expected = files.map(({ byteLength }) =>
    createHash("sha256").update(bytesOf(byteLength)).digest("hex"),
  );
  let last = -1;
  const digests = await sha256Files(files, {
    fromDisk: true,
    onProgress: ({ bytesDone }) => {
      last = bytesDone;
    },
  });
  assert.deepEqual(
    digests.map(({ sha256 }) => sha256),
    expected,
  );
  assert.equal(
    last,
    files.reduce((sum, { byteLength }) => sum + byteLength, 0),
  );
});

test("a file that shrinks while the disk is read is an error there, too", async (t) => {
  const [file] = filesOf(t, [3 * MIB]);
  assert.ok(file !== undefined);
  truncateSync(file.path, 2 * MIB + 5);
  await refusal(() => sha256Files([file], { fromDisk: true }), "truncated-file", {
    offsetBytes: 2 * MIB + 5,
  });
});
