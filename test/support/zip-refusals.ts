/** Zip checkpoints that a test spoils, and the error that each must give. */
import assert from "node:assert/strict";
import { type ErrorCode, isApplyDeltaError } from "../../src/errors.js";
import { memoryFile } from "./memory-file.js";
import { readTorchZip } from "./readers.js";
import { checkpointEntries, stateDict, tensor, type ZipEntrySample } from "./torch-samples.js";

export const GOOD = stateDict({ weight: tensor() });

export async function refuses(bytes: Buffer, code: ErrorCode, message?: RegExp): Promise<void> {
  const error = await readTorchZip(memoryFile(bytes, "bad.bin")).catch((caught: unknown) => caught);
  assert.ok(isApplyDeltaError(error), `expected ${code}, got ${error}`);
  assert.equal(error.code, code, error.format());
  assert.equal(error.details.file, "bad.bin");
  if (message !== undefined) assert.match(error.message, message);
}

/** The entries of a good checkpoint with the one of that name changed. */
export function changed(name: string, change: Partial<ZipEntrySample>): ZipEntrySample[] {
  return checkpointEntries(GOOD).map((entry) =>
    entry.name === `archive/${name}` ? { ...entry, ...change } : entry,
  );
}
