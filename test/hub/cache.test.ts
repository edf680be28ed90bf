/** The parts of the cache by themselves: ranges, links and what stands for them, locks. */
import assert from "node:assert/strict";
import fs, {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { onCache, RepositoryCache } from "../../src/hub/cache.js";
import { lockBlob } from "../../src/hub/partial-blob.js";
import { missingRanges, type Range, type Ranges, totalBytes, withRange } from "../../src/hub/ranges.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

describe("ranges", () => {
  test("are a set of bytes, in order and apart", () => {
    const range = fc
      .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 20 }))
      .map(([start, length]): Range => [start, start + length]);
    fc.assert(
      fc.property(fc.array(range), fc.integer({ min: 1, max: 30 }), (added, most) => {
        const bytes = new Set(
          added.flatMap(([start, end]) => Array.from({ length: end - start }, (_, i) => start + i)),
        );
        const ranges = added.reduce<Ranges>(withRange, []);
        assert.equal(totalBytes(ranges), bytes.size);
        for (const [i, [start, end]] of ranges.entries()) {
          assert.ok(start < end && start > (ranges[i - 1]?.[1] ?? -1));
          for (let at = start; at < end; at++) assert.ok(bytes.has(at));
        }
        const missing = missingRanges(ranges, 90, most);
        for (const [start, end] of missing) assert.ok(end > start && end - start <= most);
        assert.deepEqual(missing.reduce<Ranges>(withRange, ranges), [[0, 90]]);
        assert.equal(totalBytes(missing), 90 - bytes.size);
      }),
    );
  });
});

const COMMIT = "c".repeat(40);

test("an operation in the cache is done again where a signal cut it short, and no other failure is", () => {
  const failure = (code: string) => Object.assign(new Error(code), { code });
  const failures = ["EINTR", "EINTR", "EIO"].map(failure);
  const operation = () => {
    const next = failures.shift();
    if (next !== undefined) throw next;
  };
  assert.throws(() => onCache("blob", operation), { code: "cache-unwritable", message: /EIO/ });
  assert.equal(failures.length, 0);
});

describe("a snapshot's file", () => {
  function failToLink(context: TestContext, code: string) {
    replaceLinking(context, () => {
      throw Object.assign(new Error("no"), { code });
    });
  }

  function replaceLinking(context: TestContext, step: typeof fs.symlinkSync) {
    const mocked = context.mock.method(fs, "symlinkSync", step);
    syncBuiltinESMExports();
    context.after(() => {
      mocked.mock.restore();
      syncBuiltinESMExports();
    });
  }

  test("is a relative link to the blob", (context) => {
    const cache = new RepositoryCache(temporaryFolder(context), "a/b");
    mkdirSync(dirname(cache.blobPath("e")), { recursive: true });
    writeFileSync(cache.blobPath("e"), "data");
    cache.addToSnapshot(COMMIT, "config.json", "e", true);
    cache.addToSnapshot(COMMIT, "config.json", "e", false);
    const path = join(cache.snapshotFolder(COMMIT), "config.json");
    assert.ok(lstatSync(path).isSymbolicLink());
    assert.equal(cache.sizeOf(COMMIT, "config.json"), 4);
  });

  test("is there all the time while another run makes it once more", (context) => {
    const cache = new RepositoryCache(temporaryFolder(context), "a/b");
    mkdirSync(dirname(cache.blobPath("e")), { recursive: true });
    writeFileSync(cache.blobPath("e"), "data");
    cache.addToSnapshot(COMMIT, "config.json", "e", true);
    const { symlinkSync } = fs;
    let steps = 0;
    replaceLinking(context, (...words) => {
      steps++;
      assert.equal(cache.sizeOf(COMMIT, "config.json"), 4);
      symlinkSync(...words);
    });
    cache.addToSnapshot(COMMIT, "config.json", "e", false);
    assert.equal(steps, 1);
    assert.deepEqual(readdirSync(cache.snapshotFolder(COMMIT)), ["config.json"]);
  });

  test("is the blob itself where links aren't allowed, or a copy if the blob has other users", (context) => {
    failToLink(context, "EPERM");
    for (const [isNew, blobStays] of [
      [true, false],
      [false, true],
    ] as const) {
      const cache = new RepositoryCache(temporaryFolder(context), "a/b");
      mkdirSync(dirname(cache.blobPath("e")), { recursive: true });
      writeFileSync(cache.blobPath("e"), "data");
      cache.addToSnapshot(COMMIT, "config.json", "e", isNew);
      const path = join(cache.snapshotFolder(COMMIT), "config.json");
      assert.ok(lstatSync(path).isFile());
      assert.equal(readFileSync(path, "utf8"), "data");
      assert.equal(existsSync(cache.blobPath("e")), blobStays);
    }
  });

  test("any other failure is an error", async (context) => {
    failToLink(context, "ENOSPC");
    const cache = new RepositoryCache(temporaryFolder(context), "a/b");
    await refusal(() => cache.addToSnapshot(COMMIT, "x", "e", true), "no-space", { hint: /--cache-dir/ });
  });
});

test("a ref is a commit or nothing", (context) => {
  const cache = new RepositoryCache(temporaryFolder(context), "a/b");
  assert.equal(cache.readRef("main"), null);
  cache.writeRef("refs/pr/1", COMMIT);
  assert.equal(cache.readRef("refs/pr/1"), COMMIT);
  writeFileSync(join(cache.folder, "refs", "main"), "../../../etc");
  assert.equal(cache.readRef("main"), null);
  assert.equal(cache.readRef(COMMIT), COMMIT);
});

describe("a blob's lock", { concurrency: true }, () => {
  test("is had by one at a time", async (context) => {
    const path = join(temporaryFolder(context), "locks", "e.lock");
    const first = await lockBlob(path);
    let waited = 0;
    const second = lockBlob(path, undefined, () => waited++);
    setTimeout(() => first(), 20);
    (await second)();
    assert.equal(waited, 1);
    assert.equal(existsSync(path), false);
  });

  test("of a process that is no more is nobody's", async (context) => {
    const path = join(temporaryFolder(context), "e.lock");
    const release = await lockBlob(path);
    const holder = JSON.parse(readFileSync(path, "utf8")) as object;
    release();
    // No process has this number: Linux ends at 2^22.
    writeFileSync(path, JSON.stringify({ ...holder, pid: 2 ** 30, id: "another" }));
    (await lockBlob(path))();
  });

  test("of another machine is nobody's once nobody touches it", async (context) => {
    const path = join(temporaryFolder(context), "e.lock");
    writeFileSync(path, JSON.stringify({ pid: 1, host: `not-${hostname()}`, started: null }));
    const touch = setInterval(() => {
      touches++;
      utimesSync(path, touches, touches);
    }, 20);
    let touches = 0;
    let isHad = false;
    const had = lockBlob(path, undefined, undefined, 300).then((lock) => {
      isHad = true;
      return lock;
    });
    await sleep(1500);
    assert.equal(isHad, false);
    clearInterval(touch);
    (await had)();
    assert.equal(existsSync(path), false);
  });

  test("doesn't keep an interrupted run waiting", async (context) => {
    const path = join(temporaryFolder(context), "e.lock");
    const held = await lockBlob(path);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 20);
    await refusal(() => lockBlob(path, stop.signal), "interrupted");
    held();
  });
});
