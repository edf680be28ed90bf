import assert from "node:assert/strict";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type GrowingSha256, startGrowingSha256s } from "../../src/workers/growing-sha256.js";
import { sha256 } from "../support/hub-server.js";
import { temporaryFolder } from "../support/model-folder.js";
import { refusal } from "../support/refusal.js";

const SIZES = [2_500_000, 1_048_576, 5];

/** Files of noise that are empty yet, and the thread that follows them. */
function start(context: TestContext, signal = new AbortController().signal) {
  const folder = temporaryFolder(context);
  const files = SIZES.map((byteLength, number) => {
    const path = join(folder, `file-${number}`);
    const fd = openSync(path, "w+");
    context.after(() => closeSync(fd));
    const bytes = Buffer.from(Uint8Array.from({ length: byteLength }, (_, i) => (i * 7 + number) % 251));
    const write = (sum: GrowingSha256, start: number, end = byteLength, what = bytes) => {
      writeSync(fd, what, start, end - start, start);
      sum.advance(end);
    };
    return { path, fd, byteLength, bytes, write };
  });
  const sums = startGrowingSha256s(
    files.map(({ path, byteLength }) => ({ path, byteLength })),
    signal,
  );
  context.after(() => sums.end());
  return { files, sums };
}

test("digests files that grow side by side", async (context) => {
  const { files, sums } = start(context);
  const followed = files.map(({ fd }, number) => sums.follow(number, fd));
  for (const cut of [1_000, 1_100_000]) {
    const [file, sum] = [files[0] ?? assert.fail(), followed[0] ?? assert.fail()];
    file.write(sum, cut === 1_000 ? 0 : 1_000, cut);
  }
  files.forEach((file, number) => {
    file.write(followed[number] ?? assert.fail(), number === 0 ? 1_100_000 : 0);
  });
  const digests = await Promise.all(followed.map((sum) => sum.digest()));
  assert.deepEqual(
    digests,
    files.map(({ bytes }) => sha256(bytes)),
  );
});

test("begins anew with a file that was dropped or was damaged", async (context) => {
  const { files, sums } = start(context);
  const { fd, bytes, write } = files[0] ?? assert.fail();
  const wrong = Buffer.alloc(bytes.length);
  const dropped = sums.follow(0, fd);
  write(dropped, 0, 2_000_000, wrong);
  await dropped.drop();
  const damaged = sums.follow(0, fd);
  write(damaged, 0, bytes.length, wrong);
  assert.equal(await damaged.digest(), sha256(wrong));
  await damaged.drop();
  const right = sums.follow(0, fd);
  write(right, 0);
  assert.equal(await right.digest(), sha256(bytes));
});

test("tells of a file that has less than was said, and of a stop", async (context) => {
  const { files, sums } = start(context);
  const { fd, path, byteLength } = files[0] ?? assert.fail();
  const sum = sums.follow(0, fd);
  sum.advance(byteLength);
  await refusal(() => sum.digest(), "truncated-file", { file: path });
  await sum.drop();
  const stop = new AbortController();
  const stopped = start(context, stop.signal);
  const waiting = stopped.sums.follow(1, stopped.files[1]?.fd ?? assert.fail()).digest();
  stop.abort();
  await refusal(() => waiting, "interrupted");
});
