import { constants, openSync, readSync } from "node:fs";
import { errnoOf, uninterrupted } from "../errors.js";
import type { ReadableFile } from "../tensor.js";
import { onSource, readFully } from "./local-file.js";

/** What O_DIRECT wants memory, offset and length to be multiples of; a disk's own block is no larger. */
export const PAGE_BYTES = 4096;

/**
 * Opens a file past the page cache, to read unless another flag is given. Null where system or file system don't know
 * O_DIRECT, or too many files are open for a second descriptor.
 */
export function openDirect(path: string, flag: number = constants.O_RDONLY): number | null {
  if (constants.O_DIRECT === undefined) return null;
  try {
    return uninterrupted(() => openSync(path, flag | constants.O_DIRECT));
  } catch {
    return null;
  }
}

/** This thread's reads or writes past the page cache: once the system refuses one, no other is tried. */
export class DirectTransfers {
  /** This thread's memory isn't aligned, or the file system wants more than a page. */
  isRefused = false;

  /** How many bytes were transferred; 0 where that is refused or `fd` is null. Throws what else the system says. */
  attempt(fd: number | null, transfer: (fd: number) => number): number {
    if (fd === null || this.isRefused) return 0;
    try {
      return uninterrupted(() => transfer(fd));
    } catch (error) {
      if (errnoOf(error) !== "EINVAL") throw error;
      this.isRefused = true;
      return 0;
    }
  }
}

/** Room a range needs in memory beyond its own length: it is read with the whole pages it lies in. */
export const DISK_READ_MARGIN_BYTES = 2 * PAGE_BYTES;

const directReads = new DirectTransfers();

/**
 * Reads what the disk has; an ordinary read of what was just written says nothing of it, since the page cache has that.
 * Puts `byteLength` bytes from `offsetBytes` on into memory, at `at` or up to a page behind it; returns where they
 * begin. `fd` reads through the page cache, `directFd`, where there is one, past it.
 * `at` is a multiple of a page, and there is room for `DISK_READ_MARGIN_BYTES` more.
 * Errors: `truncated-file`, `source-unreadable`.
 */
export function readFromDisk(
  { path, fd, directFd }: ReadableFile & { readonly directFd: number | null },
  memory: Uint8Array,
  at: number,
  byteLength: number,
  offsetBytes: number,
): number {
  const inPage = offsetBytes % PAGE_BYTES;
  const wholeLength = Math.ceil((inPage + byteLength) / PAGE_BYTES) * PAGE_BYTES;
  const pages = memory.subarray(at, at + wholeLength);
  const pagesAt = offsetBytes - inPage;
  const got = onSource(
    path,
    () => directReads.attempt(directFd, (direct) => readSync(direct, pages, 0, pages.length, pagesAt)),
    offsetBytes,
  );
  const begin = at + inPage;
  // What is left: all of it, or what stands behind a read that ended early.
  const done = Math.min(byteLength, Math.max(0, got - inPage));
  readFully(fd, memory.subarray(begin + done, begin + byteLength), offsetBytes + done, path);
  return begin;
}
