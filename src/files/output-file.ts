/**
 * A shard's file. Where the system can (Linux, most disks), whole pages are written past the page cache (O_DIRECT):
 * they are not copied, the cache keeps what the user needs, and their data is on the disk when the call returns. What
 * shares a page with a neighbour, and all of it elsewhere, goes through the cache.
 */
import { closeSync, constants, fsync, ftruncateSync, openSync, write } from "node:fs";
import { promisify } from "node:util";
import { errnoOf } from "../errors.js";
import { backgroundTransfer, typedSystemError } from "../system-errors.js";
import { openDirect, PAGE_BYTES, transferDirectly } from "./direct.js";
import { onTarget, quietly, writeFully } from "./write-errors.js";
import { WriteTrial } from "./write-trial.js";

/** Bytes of a file that are known before its data is. */
export interface FixedPiece {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

export interface ShardFile {
  readonly path: string;
  /** Writes through the page cache. */
  readonly fd: number;
  /** Writes past it; null where that isn't possible. Valid in every thread, as `fd` is. */
  readonly directFd: number | null;
  readonly isDurable: boolean;
}

export interface ShardFileOptions {
  /** Whether the run ends when all is on the disk. Then all is written past the page cache, otherwise what is faster. */
  readonly isDurable: boolean;
}

/** Creates a file of its final length with the pieces in it. Errors: `no-space`, `target-unwritable`. */
export function createShardFile(
  path: string,
  byteLength: number,
  pieces: readonly FixedPiece[],
  { isDurable }: ShardFileOptions,
): ShardFile {
  const fd = onTarget(path, () => openSync(path, "wx"));
  try {
    onTarget(path, () => ftruncateSync(fd, byteLength));
    for (const { bytes, offsetBytes } of pieces) writeFully(fd, bytes, offsetBytes, path);
  } catch (error) {
    quietly(() => closeSync(fd));
    throw error;
  }
  return { path, fd, directFd: openDirect(path, constants.O_WRONLY), isDurable };
}

/** Resolves when all that was written is on the disk, and the system knows where. Other threads go on meanwhile. */
export async function syncShardFile(file: ShardFile): Promise<void> {
  const { fd, path } = file;
  try {
    await promisify(fsync)(fd);
  } catch (error) {
    if (errnoOf(error) !== "EINTR") throw typedSystemError(error, "target", path);
    await syncShardFile(file);
  }
}

export function closeShardFile({ path, fd, directFd }: ShardFile): void {
  try {
    if (directFd !== null) onTarget(path, () => closeSync(directFd));
  } finally {
    onTarget(path, () => closeSync(fd));
  }
}

const writeAsync = promisify(write);

const trial = new WriteTrial();

/** Whether the system refused this thread's writes past the cache: then no other is tried. */
let isRefused = false;

/**
 * Writes `byteLength` bytes of memory from `at` on to `offsetBytes` of the file. Where they don't lie in their pages as
 * in the file's, they are moved there: `at` is in a page of its own then, with room for a page behind the bytes.
 */
export async function writeSegment(
  file: ShardFile,
  memory: Uint8Array,
  at: number,
  byteLength: number,
  offsetBytes: number,
): Promise<void> {
  const { fd, directFd, path } = file;
  const inPage = offsetBytes % PAGE_BYTES;
  const headLength = inPage === 0 ? 0 : Math.min(byteLength, PAGE_BYTES - inPage);
  const wholeLength = byteLength - headLength - ((byteLength - headLength) % PAGE_BYTES);
  const isDirect = file.isDurable || (wholeLength > 0 && trial.isDirect(performance.now()));
  if (directFd === null || isRefused || !isDirect) {
    writeFully(fd, memory.subarray(at, at + byteLength), offsetBytes, path);
    return;
  }
  const begin = at - (at % PAGE_BYTES) + inPage;
  if (begin !== at) memory.copyWithin(begin, at, at + byteLength);
  const part = (from: number, end: number) => memory.subarray(begin + from, begin + end);
  await writeInBackground(file, part(0, headLength), offsetBytes);
  const pages = part(headLength, headLength + wholeLength);
  const written = await writePages(file, directFd, pages, offsetBytes + headLength);
  const done = headLength + written;
  await writeInBackground(file, part(done, byteLength), offsetBytes + done);
}

/** Writes past the cache keep others to the same file waiting, for milliseconds; the thread goes on meanwhile. */
async function writeInBackground(
  { fd, path }: ShardFile,
  bytes: Uint8Array,
  offsetBytes: number,
): Promise<void> {
  if (bytes.length === 0) return;
  const done = await backgroundTransfer("target", path, offsetBytes, async () => {
    return (await writeAsync(fd, bytes, 0, bytes.length, offsetBytes)).bytesWritten;
  });
  writeFully(fd, bytes.subarray(done), offsetBytes + done, path);
}

/** How many bytes of whole pages were written past the cache. */
async function writePages(
  { path }: ShardFile,
  directFd: number,
  pages: Uint8Array,
  offsetBytes: number,
): Promise<number> {
  if (pages.length === 0) return 0;
  try {
    const written = await transferDirectly(async () => {
      const { bytesWritten } = await writeAsync(directFd, pages, 0, pages.length, offsetBytes);
      return bytesWritten;
    });
    isRefused ||= written === null;
    return written ?? 0;
  } catch (error) {
    throw typedSystemError(error, "target", path, offsetBytes);
  }
}

/** Writes a CRC-32 to a place left for it. Errors: `no-space`, `target-unwritable`. */
export function writeChecksum({ fd, path }: ShardFile, checksum: number, offsetBytes: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(checksum);
  writeFully(fd, bytes, offsetBytes, path);
}
