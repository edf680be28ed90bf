/** The pickle reader on bytes that a test makes. */
import assert from "node:assert/strict";
import { ApplyDeltaError, type ErrorCode } from "../../src/errors.js";
import { readPickle } from "../../src/formats/torch/pickle.js";
import { assemble, globalName, pickle } from "./torch-samples.js";

export const OFFSET = 1000;

export const read = (bytes: Uint8Array) => readPickle({ path: "sample.pkl", bytes, offsetBytes: OFFSET }, 5);
export const value = (...parts: (string | number | Buffer)[]) => read(pickle(...parts))?.value;

export function refuses(bytes: Uint8Array, code: ErrorCode, offset?: number): ApplyDeltaError {
  let caught: unknown;
  try {
    read(bytes);
  } catch (error) {
    caught = error;
  }
  assert.ok(caught instanceof ApplyDeltaError, `expected ${code}, caught ${caught}`);
  assert.equal(caught.code, code, caught.format());
  assert.equal(caught.details.file, "sample.pkl");
  assert.ok((caught.details.offsetBytes ?? 0) >= OFFSET);
  if (offset !== undefined) assert.equal(caught.details.offsetBytes, OFFSET + offset);
  return caught;
}

export const ORDERED_DICT = assemble(globalName("collections", "OrderedDict"), ")R");
export const unicode4 = (name: string) => assemble(0x8c, name.length, name);
