/**
 * In: an open file. Out: its SHA-256, made in this thread.
 * Guards: the file is read to the length it had when it was opened, and ends there.
 */
import { createHash } from "node:crypto";
import { readFully } from "./local-file.js";
import type { Sha256Job } from "./sha256.js";

/** Large enough that reads cost little beside the hash, small enough for the cache. */
export const CHUNK_BYTES = 1024 * 1024;

/** 64 hexadecimal digits. Errors: `truncated-file`, `source-unreadable`. */
export function hashFile({ fd, path, byteLength, bytesDone }: Sha256Job): string {
  const sum = createHash("sha256");
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, byteLength));
  for (let offset = 0; offset < byteLength; offset += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, byteLength - offset));
    readFully(fd, part, offset, path);
    sum.update(part);
    Atomics.add(bytesDone, 0, BigInt(part.length));
  }
  return sum.digest("hex");
}
