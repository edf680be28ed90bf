/**
 * A `RandomAccessFile` over bytes in memory, as strict as a file on disk: a read past the end is an error, and
 * `bytesRead` and `reads` tell how much a reader asked for.
 */
import { readFileSync } from "node:fs";
import { ApplyDeltaError } from "../../src/errors.js";
import type { RandomAccessFile } from "../../src/tensor.js";

export interface MemoryFile extends RandomAccessFile {
  readonly bytes: Buffer;
  reads: number;
  bytesRead: number;
}

export function memoryFile(bytes: Uint8Array, path = "memory.bin"): MemoryFile {
  const buffer = Buffer.from(bytes);
  const file: MemoryFile = {
    path,
    byteLength: buffer.length,
    bytes: buffer,
    reads: 0,
    bytesRead: 0,
    async read(offsetBytes, byteLength) {
      file.reads++;
      file.bytesRead += byteLength;
      const inside =
        Number.isSafeInteger(offsetBytes) &&
        Number.isSafeInteger(byteLength) &&
        offsetBytes >= 0 &&
        byteLength >= 0 &&
        offsetBytes + byteLength <= buffer.length;
      if (!inside) {
        throw new ApplyDeltaError("truncated-file", "The file ends before the data that is read", {
          file: path,
          offsetBytes,
          expected: byteLength,
          got: buffer.length - offsetBytes,
        });
      }
      return new Uint8Array(buffer.subarray(offsetBytes, offsetBytes + byteLength));
    },
  };
  return file;
}

/** A file of `test/fixtures`, by its path in there. */
export function fixtureFile(path: string): MemoryFile {
  return memoryFile(readFileSync(new URL(`../../../test/fixtures/${path}`, import.meta.url)), path);
}
