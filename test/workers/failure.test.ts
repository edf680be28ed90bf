/** Merges that don't get to the end: a source that changes, a target that fails, an abort. All stop, none hangs. */
import assert from "node:assert/strict";
import {
  closeSync,
  ftruncateSync,
  openSync,
  readdirSync,
  truncateSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ApplyDeltaOptions, applyDelta } from "../../src/apply/apply-delta.js";
import { type ErrorCode, isApplyDeltaError } from "../../src/errors.js";
import { type ProgressUpdate, type Reporter, silentReporter } from "../../src/progress.js";
import { SEGMENT_BYTES, SEGMENTS_AT_ONCE } from "../../src/workers/segments.js";
import { safetensorsOf, temporaryFolder } from "../support/model-folder.js";

const ELEMENTS = 64 * 1024 * 1024;

/** A file of one float16 tensor of zeros that takes no room on disk. */
function writeSparse(path: string): string {
  const header = { weight: { dtype: "F16", shape: [ELEMENTS], data_offsets: [0, 2 * ELEMENTS] } };
  const head = safetensorsOf(JSON.stringify(header), new Uint8Array());
  const fd = openSync(path, "w");
  writeSync(fd, head);
  ftruncateSync(fd, head.length + 2 * ELEMENTS);
  closeSync(fd);
  return path;
}

interface Place {
  readonly root: string;
  readonly base: string;
  readonly delta: string;
  readonly apply: (options: Partial<ApplyDeltaOptions>) => Promise<unknown>;
}

function place(context: TestContext): Place {
  const root = temporaryFolder(context);
  const base = writeSparse(join(root, "base.safetensors"));
  const delta = writeSparse(join(root, "delta.safetensors"));
  const target = join(root, "target");
  return {
    root,
    base,
    delta,
    apply: (options) =>
      applyDelta({ base, delta, target, skipBaseCheck: true, kernel: "reference", ...options }),
  };
}

/** Calls back when both sides have been opened and nothing has been written. */
function onceOpened(callback: () => void): Reporter {
  return { ...silentReporter, detail: (text) => void (text.startsWith("delta: ") && callback()) };
}

function onProgress(callback: (update: ProgressUpdate) => void): Reporter {
  return { ...silentReporter, progress: callback };
}

async function assertFails(promise: Promise<unknown>, code: ErrorCode) {
  const error = await promise.then(
    () => assert.fail("it did not fail"),
    (caught: unknown) => caught,
  );
  assert.ok(isApplyDeltaError(error, code), String(error));
  return error;
}

for (const side of ["base", "delta"] as const) {
  for (const threads of [1, 4]) {
    test(`the ${side} shrinks after it was opened, ${threads} threads: a typed error, and no target`, async (context) => {
      const { root, apply, ...paths } = place(context);
      const keptBytes = 20_000_001;
      const reporter = onceOpened(() => truncateSync(paths[side], keptBytes));
      const error = await assertFails(apply({ reporter, threads }), "truncated-file");
      assert.equal(error.details.file, paths[side]);
      assert.equal(typeof error.details.offsetBytes, "number");
      assert.ok((error.details.offsetBytes ?? 0) >= keptBytes);
      assert.deepEqual(readdirSync(root).sort(), ["base.safetensors", "delta.safetensors"]);
    });
  }
}

test("a failed worker stops the others long before the end", async (context) => {
  const { apply, base } = place(context);
  let mostBytes = 0;
  const reporter = {
    ...onceOpened(() => truncateSync(base, 4096)),
    progress: ({ bytesDone }: ProgressUpdate) => {
      mostBytes = Math.max(mostBytes, bytesDone);
    },
  };
  await assertFails(apply({ reporter, threads: 3 }), "truncated-file");
  assert.ok(mostBytes < ELEMENTS, `${mostBytes} bytes were written`);
});

test("an abort before the start", async (context) => {
  const { root, apply } = place(context);
  await assertFails(apply({ signal: AbortSignal.abort() }), "interrupted");
  assert.deepEqual(readdirSync(root).sort(), ["base.safetensors", "delta.safetensors"]);
});

test("an abort between opening and writing", async (context) => {
  const { root, apply } = place(context);
  const controller = new AbortController();
  const reporter = onceOpened(() => controller.abort());
  await assertFails(apply({ reporter, signal: controller.signal }), "interrupted");
  assert.deepEqual(readdirSync(root).sort(), ["base.safetensors", "delta.safetensors"]);
});

test("an abort in the middle stops within a few segments", async (context) => {
  const { root, apply } = place(context);
  const controller = new AbortController();
  const seen: number[] = [];
  const reporter = onProgress(({ bytesDone, bytesTotal }) => {
    assert.ok(bytesDone < bytesTotal, "it was too late to abort");
    seen.push(bytesDone);
    controller.abort();
  });
  await assertFails(apply({ reporter, signal: controller.signal, threads: 1 }), "interrupted");
  // What was under way is finished, and nothing more.
  assert.ok((seen.at(-1) ?? 0) - (seen[0] ?? 0) <= (SEGMENTS_AT_ONCE + 1) * SEGMENT_BYTES, seen.join());
  assert.deepEqual(readdirSync(root).sort(), ["base.safetensors", "delta.safetensors"]);
});

test("an abort after the last byte, but before the target is there: nothing of it is done again", async (context) => {
  const { root, apply } = place(context);
  const controller = new AbortController();
  const reporter = onProgress(({ bytesDone, bytesTotal }) => {
    if (bytesDone === bytesTotal) controller.abort();
  });
  const error = await assertFails(
    apply({ reporter, signal: controller.signal, kernel: "auto" }),
    "interrupted",
  );
  assert.match(error.details.hint ?? "", /goes on from here, with 1 of 1 shard done/);
  assert.deepEqual(readdirSync(root).sort(), ["base.safetensors", "delta.safetensors", "target.incomplete"]);
  await apply({ kernel: "auto" });
  assert.deepEqual(readdirSync(root).sort(), ["base.safetensors", "delta.safetensors", "target"]);
});

for (const side of ["base", "delta"] as const) {
  test(`the ${side} is written to while it is read: an error that names it, and nothing is kept`, async (context) => {
    const { root, apply, ...paths } = place(context);
    const reporter = onceOpened(() => utimesSync(paths[side], 1, 1));
    const error = await assertFails(apply({ reporter, kernel: "auto" }), "source-changed");
    assert.equal(error.details.file, paths[side]);
    assert.match(String(error.details.got), /written at 1970-01-01/);
    assert.deepEqual(readdirSync(root).sort(), ["base.safetensors", "delta.safetensors"]);
  });
}

test("progress rises to the total and names the shard under way", async (context) => {
  const { apply } = place(context);
  const updates: ProgressUpdate[] = [];
  await apply({ reporter: onProgress((update) => updates.push(update)) });
  const bytes = updates.map(({ bytesDone }) => bytesDone);
  assert.deepEqual(
    bytes,
    [...bytes].sort((a, b) => a - b),
  );
  const last = updates.at(-1);
  assert.equal(last?.bytesDone, last?.bytesTotal);
  assert.ok((last?.bytesTotal ?? 0) > 2 * ELEMENTS);
  assert.ok(updates.every(({ current }) => current === "model.safetensors"));
});
