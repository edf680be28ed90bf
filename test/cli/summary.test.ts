/** What the summary says of the time a run took. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tookLine } from "../../src/cli/output-text.js";
import type { OutputSummary } from "../../src/merge/documents.js";

const SUMMARY: OutputSummary = {
  tensors: { added: 1 },
  shards: [],
  keptShards: [],
  bytesRead: 4e9,
  bytesStreamed: 0,
  bytesWritten: 2e9,
  seconds: 2,
  peakMemoryBytes: 1.2e8,
  kernel: "simd",
  threads: 2,
  warnings: [],
};

test("a speed, but none where an interrupted run had done a part: the time is this run's alone", () => {
  const rest = ", 120 MB of memory, simd kernel, 2 threads";
  assert.equal(tookLine(SUMMARY), `  took      2.0 s (3.00 GB/s read and written)${rest}`);
  const kept = { ...SUMMARY, keptShards: ["model-00001-of-00002.safetensors"] };
  assert.equal(tookLine(kept), `  took      2.0 s${rest}`);
});
