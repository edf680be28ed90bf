/** PyTorch files cut at every byte: a part of a file is never taken for a whole one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isApplyDeltaError } from "../../src/errors.js";
import { fixtureFile, memoryFile } from "../support/memory-file.js";
import { readTorchLegacy, readTorchZip } from "../support/readers.js";

const ZIPS = [
  "views.bin",
  "views-protocol-4.bin",
  "module.bin",
  "newer-records.bin",
  "wrapped-state-dict.pt",
];
const LEGACY = ["legacy-views.bin", "legacy-protocol-4.bin", "legacy-storage-views.bin"];

for (const [names, read] of [
  [ZIPS, readTorchZip],
  [LEGACY, readTorchLegacy],
] as const) {
  for (const name of names) {
    test(`${name} cut at every byte`, async () => {
      const { bytes } = fixtureFile(`torch/${name}`);
      for (let length = 0; length < bytes.length; length++) {
        const file = memoryFile(bytes.subarray(0, length));
        await assert.rejects(
          read(file),
          (error) => isApplyDeltaError(error) && error.details.file === file.path,
          `cut at ${length}`,
        );
      }
    });
  }
}
