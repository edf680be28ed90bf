/** A worker's share of hashing: whole files, read to the length they had when they were opened. */
import { createHash } from "node:crypto";
import { read } from "node:fs";
import { promisify } from "node:util";
import { errnoOf } from "../errors.js";
import { readFully, sourceError } from "../files/local-file.js";
import { isStopped, type Run, type SegmentedJob, type SharedCounters, takeSegments } from "./segments.js";

/** Large enough that reads cost little beside the hash, small enough for the cache. */
export const CHUNK_BYTES = 1024 * 1024;

/** Reads under way at once where a disk is read, so that it never waits for the hash. */
const READS_AHEAD = 4;

interface FileToHash {
  readonly fd: number;
  /** Reads past the page cache; null where that isn't wanted or possible. */
  readonly directFd: number | null;
  readonly path: string;
  readonly byteLength: number;
}

/** A file is a run of one segment, since a hash has no parts. */
export interface HashedFile extends FileToHash, Run {}

export type HashJob = SegmentedJob<HashedFile>;

/** The job's one counter: bytes read so far. */
export const BYTES_DONE = 0;

/** Numbers of files, and their digests. Throws what reading throws. */
export async function runJob(job: HashJob): Promise<[number, string][]> {
  const digests: [number, string][] = [];
  // WebAssembly's memory begins where a page does, as O_DIRECT wants it.
  const pages = (READS_AHEAD * CHUNK_BYTES) / 65_536;
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
  for (const { run: file, number } of takeSegments(job)) {
    const digest =
      file.directFd === null
        ? hashFile(file, job.shared)
        : await hashFileOnDisk(file, file.directFd, memory, job.shared);
    if (digest !== null) digests.push([number, digest]);
  }
  return digests;
}

/** 64 hexadecimal digits; null where the job is stopped. Errors: `truncated-file`, `source-unreadable`. */
export function hashFile({ fd, path, byteLength }: FileToHash, shared: SharedCounters): string | null {
  const sum = createHash("sha256");
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, byteLength));
  for (let offset = 0; offset < byteLength; offset += chunk.length) {
    if (isStopped(shared)) return null;
    const part = chunk.subarray(0, Math.min(chunk.length, byteLength - offset));
    readFully(fd, part, offset, path);
    sum.update(part);
    Atomics.add(shared.counts, BYTES_DONE, BigInt(part.length));
  }
  return sum.digest("hex");
}

/** The same of what the disk has, read past the page cache (see disk-read.ts). */
async function hashFileOnDisk(
  file: FileToHash,
  directFd: number,
  memory: Uint8Array,
  shared: SharedCounters,
): Promise<string | null> {
  const { byteLength } = file;
  const sum = createHash("sha256");
  const chunkAt = (offset: number) => {
    const begin = offset % memory.length;
    return memory.subarray(begin, begin + CHUNK_BYTES);
  };
  const reads: Promise<void>[] = [];
  let ahead = 0;
  try {
    for (let offset = 0; offset < byteLength; offset += CHUNK_BYTES) {
      if (isStopped(shared)) return null;
      for (; ahead < Math.min(byteLength, offset + memory.length); ahead += CHUNK_BYTES)
        reads.push(startRead(file, directFd, chunkAt(ahead), ahead));
      await reads.shift();
      const part = chunkAt(offset).subarray(0, Math.min(CHUNK_BYTES, byteLength - offset));
      sum.update(part);
      Atomics.add(shared.counts, BYTES_DONE, BigInt(part.length));
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
  { fd, path, byteLength }: FileToHash,
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
