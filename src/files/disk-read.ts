/**
 * Reads what the disk has. What was just written is still in the page cache, so an ordinary read says nothing of the
 * disk: where the system can (Linux, most disks), whole pages are read past the cache (O_DIRECT). `output-file.ts`
 * writes so.
 */
import { readSync } from "node:fs";
import type { ReadableFile } from "../tensor.js";
import { DirectTransfers, PAGE_BYTES } from "./direct.js";
import { onSource, readFully } from "./local-file.js";

/** Room a range needs in memory beyond its own length: it is read with the whole pages it lies in. */
export const DISK_READ_MARGIN_BYTES = 2 * PAGE_BYTES;

/** A file that is read through the page cache by `fd`. */
export interface DiskFile extends ReadableFile {
  /** Reads past it; null where that isn't possible. */
  readonly directFd: number | null;
}

const directReads = new DirectTransfers();

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
