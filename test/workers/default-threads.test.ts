/** How many threads work where nobody says how many. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Checkpoint } from "../../src/formats/open.js";
import { defaultThreads } from "../../src/workers/pool.js";

const withFiles = (...descriptors: unknown[]) =>
  ({ files: descriptors.map((fd) => ({ fd, byteLength: 1e9 })) }) as unknown as Pick<Checkpoint, "files">;

const LOCAL = withFiles(3, 4);
const STREAMED = withFiles(3, { file: 0 });

test("a thread a core, fewer where weights are streamed: those take memory, and the network sets the pace", () => {
  assert.equal(defaultThreads([], 8), 4);
  assert.equal(defaultThreads([LOCAL, LOCAL], 8), 4);
  assert.equal(defaultThreads([LOCAL, STREAMED], 8), 2);
  assert.equal(defaultThreads([STREAMED], 1), 1);
});

test("none for models that are merged sooner than a thread starts", () => {
  const small = { files: [{ fd: 3, byteLength: 16e6 }] } as unknown as Pick<Checkpoint, "files">;
  assert.equal(defaultThreads([small, small], 8), 0);
  assert.equal(defaultThreads([small, LOCAL], 8), 4);
  assert.equal(defaultThreads([small, STREAMED], 8), 2);
});
