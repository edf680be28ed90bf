/** Every way the pickle and the storages in a zip can be bad, each with the error it must give. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryFile } from "../support/memory-file.js";
import { readTorchZip } from "../support/readers.js";
import {
  assemble,
  checkpointEntries,
  pickle,
  stateDict,
  storedZip,
  type TensorSample,
  tensor,
} from "../support/torch-samples.js";

import { changed, GOOD, refuses } from "../support/zip-refusals.js";

test("data.pkl that is too large, short, or followed by something", async () => {
  const directory = { byteLength: 0x40000000 };
  await refuses(storedZip(changed("data.pkl", { directory })), "zip-malformed");
  await refuses(storedZip(checkpointEntries(Buffer.alloc(16 * 1024 * 1024 + 1))), "pickle-too-large");
  await refuses(storedZip(checkpointEntries(Buffer.alloc(0))), "pickle-malformed", /ends before/);
  await refuses(storedZip(checkpointEntries(GOOD.subarray(0, -1))), "pickle-malformed", /ends before/);
  await refuses(storedZip(checkpointEntries(assemble(GOOD, "x"))), "pickle-malformed", /goes on after/);
});

test("storages that are missing or of another size", async () => {
  await refuses(storedZip(checkpointEntries(GOOD, {})), "storage-missing", /archive\/data\/0/);
  await refuses(
    storedZip(checkpointEntries(stateDict({ weight: tensor({ key: "../version" }) }))),
    "storage-missing",
  );
  for (const size of [0, 7, 9, 16]) {
    await refuses(storedZip(checkpointEntries(GOOD, { "0": Buffer.alloc(size) })), "storage-size");
  }
  const huge = stateDict({ weight: tensor({ numel: Number.MAX_SAFE_INTEGER }) });
  await refuses(storedZip(checkpointEntries(huge)), "storage-size");
});

test("views outside their storage", async () => {
  const bad: TensorSample[] = [
    { shape: [5] },
    { offset: 1 },
    { offset: -1 },
    { shape: [-1] },
    { strides: [-1] },
    { strides: [2] },
    { shape: [2, 2], strides: [3, 1] },
    { shape: [4], strides: [1, 1] },
    { shape: [], strides: [1] },
    { offset: 4, shape: [], strides: [] },
    { offset: 2n ** 53n },
    { shape: [2n ** 64n], strides: [0] },
    { shape: [2], strides: [2n ** 60n] },
    { shape: [0], strides: [-1] },
    { shape: [2, 2, 2], strides: [2 ** 52, 2 ** 52, 2 ** 52] },
    { shape: [2 ** 40, 2 ** 40], strides: [0, 0] },
  ];
  for (const sample of bad) {
    await refuses(storedZip(checkpointEntries(stateDict({ weight: tensor(sample) }))), "view-out-of-bounds");
  }
  const good: TensorSample[] = [
    { offset: 3, shape: [1] },
    { offset: 3, shape: [], strides: [] },
    { shape: [3, 5], strides: [1, 0] },
    { shape: [2, 3], strides: [1, 1] },
    { offset: 99, shape: [0, 7], strides: [7, 1] },
  ];
  for (const sample of good) {
    const file = memoryFile(storedZip(checkpointEntries(stateDict({ weight: tensor(sample) }))));
    assert.equal((await readTorchZip(file)).length, 1);
  }
});

test("an empty storage needs its record too", async () => {
  const empty = stateDict({ none: tensor({ numel: 0, shape: [0] }) });
  await refuses(storedZip(checkpointEntries(empty, {})), "storage-missing");
  assert.equal(
    (await readTorchZip(memoryFile(storedZip(checkpointEntries(empty, { "0": Buffer.alloc(0) }))))).length,
    1,
  );
  const one = stateDict({ one: tensor({ numel: 0, shape: [1] }) });
  await refuses(storedZip(checkpointEntries(one, { "0": Buffer.alloc(0) })), "view-out-of-bounds");
});

test("what stands in the pickle is no state dict", async () => {
  for (const root of [pickle("N"), pickle("]"), pickle(tensor()), pickle("}K", 1, tensor(), "s")]) {
    await refuses(storedZip(checkpointEntries(root)), "not-a-state-dict");
  }
  await refuses(
    storedZip(checkpointEntries(stateDict({ w: tensor(), step: assemble("K", 5) }))),
    "not-a-state-dict",
    /"step"/,
  );
});
