/**
 * In: an open file. Out: its SHA-256, made in this thread.
 * Guards: the file is read to the length it had when it was opened, and ends there.
 */
import { createHash } from "node:crypto";
import { read } from "node:fs";
import { promisify } from "node:util";
import { errnoOf } from "../errors.js";
import { readFully, sourceError } from "./local-file.js";

/** Large enough that reads cost little beside the hash, small enough for the cache. */
export const CHUNK_BYTES = 1024 * 1024;

/** Reads under way at once where a disk is read, so that it never waits for the hash. */
const READS_AHEAD = 4;

/** What a thread is given. */
export interface Sha256Job {
  readonly fd: number;
  /** Reads past the page cache; null where that isn't wanted or possible. */
  readonly directFd: number | null;
  readonly path: string;
  readonly byteLength: number;
  /** One counter, shared: bytes read so far. */
  readonly bytesDone: BigUint64Array;
}

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

/** The same of what the disk has, read past the page cache (see disk-read.ts). */
export async function hashFileOnDisk(job: Sha256Job, directFd: number): Promise<string> {
  const { byteLength, bytesDone } = job;
  const sum = createHash("sha256");
  // WebAssembly's memory begins where a page does, as O_DIRECT wants it.
  const pages = (READS_AHEAD * CHUNK_BYTES) / 65_536;
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
  const chunkAt = (offset: number) => {
    const begin = offset % memory.length;
    return memory.subarray(begin, begin + CHUNK_BYTES);
  };
  const reads: Promise<void>[] = [];
  let ahead = 0;
  try {
    for (let offset = 0; offset < byteLength; offset += CHUNK_BYTES) {
      for (; ahead < Math.min(byteLength, offset + memory.length); ahead += CHUNK_BYTES)
        reads.push(startRead(job, directFd, chunkAt(ahead), ahead));
      await reads.shift();
      const part = chunkAt(offset).subarray(0, Math.min(CHUNK_BYTES, byteLength - offset));
      sum.update(part);
      Atomics.add(bytesDone, 0, BigInt(part.length));
    }
  } finally {
    // None may write into memory that nobody waits for.
    await Promise.allSettled(reads);
  }
  return sum.digest("hex");
}

const readAsync = promisify(read);

/** A read whose failure waits until it is asked for: two may fail before the first is. */
function startRead(...chunk: Parameters<typeof readChunk>): Promise<void> {
  const reading = readChunk(...chunk);
  reading.catch(() => {});
  return reading;
}

/** Fills a chunk up to the file's end; what the direct read refuses or leaves is read the ordinary way. */
async function readChunk(
  { fd, path, byteLength }: Sha256Job,
  directFd: number,
  chunk: Uint8Array,
  offset: number,
): Promise<void> {
  let done = 0;
  try {
    done = (await readAsync(directFd, chunk, 0, chunk.length, offset)).bytesRead;
  } catch (error) {
    if (errnoOf(error) !== "EINVAL") throw sourceError(error, path, offset);
  }
  const length = Math.min(chunk.length, byteLength - offset);
  readFully(fd, chunk.subarray(Math.min(done, length), length), offset + Math.min(done, length), path);
}
