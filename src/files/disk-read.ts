/**
 * In: a file, a range of its bytes, a thread's memory. Out: those bytes in memory, as the disk has them.
 *
 * What was just written is still in the page cache, so an ordinary read says nothing of the disk. Where the system can
 * (Linux, most disks) whole pages are read past the cache (O_DIRECT); elsewhere the read is an ordinary one.
 * Guards: both ways give the same bytes; a system that refuses the one gets the other. The writing twin is
 * output/shard-file.ts.
 */
import { constants, openSync, readSync } from "node:fs";
import { errnoOf, uninterrupted } from "../errors.js";
import type { ReadableFile } from "../tensor.js";
import { readFully, sourceError } from "./local-file.js";

/** What O_DIRECT wants memory, offset and length to be multiples of; a disk's own block is no larger. */
const PAGE_BYTES = 4096;

/** Room a range needs in memory beyond its own length: it is read with the whole pages it lies in. */
export const DISK_READ_MARGIN_BYTES = 2 * PAGE_BYTES;

/** A file that is read through the page cache by `fd`. */
export interface DiskFile extends ReadableFile {
  /** Reads past it; null where that isn't possible. */
  readonly directFd: number | null;
}

/** Null where system or file system don't know O_DIRECT, or too many files are open for a second descriptor. */
export function openDirect(path: string): number | null {
  if (constants.O_DIRECT === undefined) return null;
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  } catch {
    return null;
  }
}

/** Set where a read was refused: this thread's memory isn't aligned, or the file system wants more than a page. */
let isRefused = false;

/**
 * Reads `byteLength` bytes from `offsetBytes` on into memory, at `at` or up to a page behind it; returns where they
 * begin. `at` is a multiple of a page, and there is room for `DISK_READ_MARGIN_BYTES` more.
 * Errors: `truncated-file`, `source-unreadable`.
 */
export function readFromDisk(
  { path, fd, directFd }: DiskFile,
  memory: Uint8Array,
  at: number,
  byteLength: number,
  offsetBytes: number,
): number {
  const inPage = offsetBytes % PAGE_BYTES;
  const wholeLength = Math.ceil((inPage + byteLength) / PAGE_BYTES) * PAGE_BYTES;
  const got =
    directFd === null || isRefused
      ? 0
      : readPages(directFd, memory.subarray(at, at + wholeLength), offsetBytes - inPage, path);
  const begin = at + inPage;
  // What is left: all of it, or what stands behind a read that ended early.
  const done = Math.min(byteLength, Math.max(0, got - inPage));
  readFully(fd, memory.subarray(begin + done, begin + byteLength), offsetBytes + done, path);
  return begin;
}

/** Reads past the cache; gives how many bytes that were, 0 where it is refused. */
function readPages(directFd: number, into: Uint8Array, offsetBytes: number, path: string): number {
  try {
    return uninterrupted(() => readSync(directFd, into, 0, into.length, offsetBytes));
  } catch (error) {
    if (errnoOf(error) !== "EINVAL") throw sourceError(error, path, offsetBytes);
    isRefused = true;
    return 0;
  }
}
