/**
 * A shard's file. Where the system can (Linux, most disks), whole pages are written past the page cache (O_DIRECT):
 * they are not copied, the cache keeps what the user needs, and their data is on the disk when the call returns. What
 * shares a page with a neighbour, and all of it elsewhere, goes through the cache.
 */
import { closeSync, constants, fsync, ftruncateSync, openSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { errnoOf } from "../errors.js";
import { typedSystemError } from "../system-errors.js";
import { DirectTransfers, openDirect, PAGE_BYTES } from "./direct.js";
import { onTarget, quietly, writeFully } from "./write-errors.js";

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
}

export interface ShardFileOptions {
  /** Whether to write past the page cache where that is possible. */
  readonly isDirect: boolean;
}

/** Creates a file of its final length with the pieces in it. Errors: `no-space`, `target-unwritable`. */
export function createShardFile(
  path: string,
  byteLength: number,
  pieces: readonly FixedPiece[],
  { isDirect }: ShardFileOptions,
): ShardFile {
  const fd = onTarget(path, () => openSync(path, "wx"));
  try {
    onTarget(path, () => ftruncateSync(fd, byteLength));
    for (const { bytes, offsetBytes } of pieces) writeFully(fd, bytes, offsetBytes, path);
  } catch (error) {
    quietly(() => closeSync(fd));
    throw error;
  }
  return { path, fd, directFd: isDirect ? openDirect(path, constants.O_WRONLY) : null };
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

const directWrites = new DirectTransfers();

/**
 * Writes `byteLength` bytes of memory from `at` on to `offsetBytes` of the file. `at` is a multiple of a page, and
 * there is room for a page behind the bytes unless `offsetBytes` is one, too: they are moved to where their pages are.
 */
export function writeSegment(
  file: ShardFile,
  memory: Uint8Array,
  at: number,
  byteLength: number,
  offsetBytes: number,
): void {
  const inPage = offsetBytes % PAGE_BYTES;
  const headLength = inPage === 0 ? 0 : Math.min(byteLength, PAGE_BYTES - inPage);
  const wholeLength = byteLength - headLength - ((byteLength - headLength) % PAGE_BYTES);
  if (file.directFd === null || directWrites.isRefused || wholeLength === 0) {
    writeFully(file.fd, memory.subarray(at, at + byteLength), offsetBytes, file.path);
    return;
  }
  if (inPage > 0) memory.copyWithin(at + inPage, at, at + byteLength);
  const part = (from: number, length: number) =>
    memory.subarray(at + inPage + from, at + inPage + from + length);
  writeFully(file.fd, part(0, headLength), offsetBytes, file.path);
  const pages = part(headLength, wholeLength);
  const pagesAt = offsetBytes + headLength;
  const done = onTarget(
    file.path,
    () => directWrites.attempt(file.directFd, (fd) => writeSync(fd, pages, 0, pages.length, pagesAt)),
    pagesAt,
  );
  writeFully(file.fd, part(headLength + done, byteLength - headLength - done), pagesAt + done, file.path);
}

/** Writes a CRC-32 to a place left for it. Errors: `no-space`, `target-unwritable`. */
export function writeChecksum({ fd, path }: ShardFile, checksum: number, offsetBytes: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(checksum);
  writeFully(fd, bytes, offsetBytes, path);
}
