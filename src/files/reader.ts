/**
 * Reads ranges of files straight into the memory they are used in: through the page cache where that has them, past it
 * (O_DIRECT) where it hasn't. A read through the cache copies, pushes out what the user needs, and asks the disk for
 * little at a time; but what the cache has is there at once.
 *
 * The way is decided by what the system counts, not by a clock: it tells how many bytes a read took from a disk. Now and
 * then a page is read from the middle of a range, and a read through the cache shows by itself when that has no more.
 * Where the system doesn't count, or has no O_DIRECT, all reads go through the cache.
 */
import { closeSync, read, readSync } from "node:fs";
import { promisify } from "node:util";
import { typedSystemError } from "../system-errors.js";
import type { ReadableFile } from "../tensor.js";
import { openDirect, PAGE_BYTES, transferDirectly } from "./direct.js";
import { DiskReads } from "./disk-reads.js";
import { onSource, readFully, readInBackground } from "./local-file.js";

/** Room a range needs in memory beyond its own length: it is read with the whole pages it lies in. */
export const READ_MARGIN_BYTES = 2 * PAGE_BYTES;

/** Shorter ranges are read through the cache: to ask costs as much as to read. */
const LEAST_DIRECT_BYTES = 64 * 1024;

/** So many ranges of a file are read past the cache before a page is looked for in it again. */
const READS_BETWEEN_PROBES = 16;

/** Of a range that is read through the cache, so much may be missing before another way is taken. */
const TOLERATED_MISS = 1 / 4;

/** Files with a second descriptor at once: a segment is made of two or three, of nine where Meta's base is in eight. */
const MOST_DIRECT_FILES = 16;

/** Bytes begin at a multiple of this, so that they can be seen as any numbers. */
const ALIGNMENT_BYTES = 8;

/** How a file is read. */
interface Way {
  /** Reads past the cache. */
  readonly directFd: number | null;
  /** Whether there is such a way, and the system doesn't refuse it. */
  isDirect: boolean;
  /** Whether the cache has what is read next, as far as is known. */
  isCached: boolean;
  readsUntilProbe: number;
  /** Reads past the cache that go on. */
  underWay: number;
}

/** Bytes of a file. */
export interface FileRange {
  readonly file: ReadableFile;
  readonly offsetBytes: number;
  readonly byteLength: number;
}

const readAsync = promisify(read);

/** A thread's way to read files that stay open. */
export class Reader {
  readonly #ways = new Map<number, Way>();
  readonly #diskReads = new DiskReads();
  readonly #page = new Uint8Array(PAGE_BYTES);

  /**
   * Puts a range of a file into memory, at `at` or up to a page behind it; gives where it begins, a multiple of 8. `at`
   * is a multiple of a page, with room for `READ_MARGIN_BYTES` more than the range; past the cache, memory must begin
   * where a page does, as WebAssembly's does. `isFromDisk`: read past the cache what it has, too, since that says nothing
   * of the disk where it was just written.
   * Errors: `truncated-file`, `source-unreadable`; those of fetching.
   */
  async read(range: FileRange, memory: Uint8Array, at: number, isFromDisk = false): Promise<number> {
    const { file, offsetBytes, byteLength } = range;
    const { path, fd } = file;
    const into = memory.subarray(at, at + byteLength);
    if (typeof fd !== "number") {
      await readInBackground(file, into, offsetBytes);
      return at;
    }
    const readAll = () => readFully(fd, into, offsetBytes, path);
    if (byteLength < LEAST_DIRECT_BYTES && !isFromDisk) {
      readAll();
      return at;
    }
    const way = this.#wayOf(fd);
    const middle = offsetBytes + (byteLength >> 1);
    if (isFromDisk || !this.#isCached(way, { path, fd }, middle))
      return await readPages(way, range, memory, at);
    way.isCached = (this.#diskReads.during(readAll) ?? 0) <= byteLength * TOLERATED_MISS;
    return at;
  }

  /** Closes what the reader opened. No read is under way. */
  close(): void {
    for (const fd of this.#ways.keys()) this.#forget(fd);
    this.#diskReads.close();
  }

  /** Whether the cache has a range that `middle` is in. Looks at no more than a page, and that now and then. */
  #isCached(way: Way, { path, fd }: { path: string; fd: number }, middle: number): boolean {
    if (way.isCached || !way.isDirect) return true;
    if (way.readsUntilProbe-- > 0) return false;
    way.readsUntilProbe = READS_BETWEEN_PROBES;
    const missed = this.#diskReads.during(() =>
      onSource(path, () => readSync(fd, this.#page, 0, 1, middle), middle),
    );
    way.isCached = (missed ?? 0) === 0;
    return way.isCached;
  }

  #wayOf(fd: number): Way {
    const known = this.#ways.get(fd);
    if (known !== undefined) return known;
    const idle = [...this.#ways].find(([, { underWay }]) => underWay === 0);
    if (this.#ways.size >= MOST_DIRECT_FILES && idle !== undefined) this.#forget(idle[0]);
    // The same file, whatever stands at its path by now.
    const directFd = openDirect(`/proc/self/fd/${fd}`);
    const way = { directFd, isDirect: directFd !== null, isCached: false, readsUntilProbe: 0, underWay: 0 };
    this.#ways.set(fd, way);
    return way;
  }

  #forget(fd: number): void {
    const directFd = this.#ways.get(fd)?.directFd ?? null;
    this.#ways.delete(fd);
    if (directFd !== null) closeSync(directFd);
  }
}

/** As `Reader.read`, past the cache; what the system refuses or leaves is read through it. */
async function readPages(way: Way, range: FileRange, memory: Uint8Array, at: number): Promise<number> {
  const { file, offsetBytes, byteLength } = range;
  const { path, fd } = file;
  const inPage = offsetBytes % PAGE_BYTES;
  const [begin, end] = [at + inPage, at + inPage + byteLength];
  const pages = memory.subarray(at, Math.ceil(end / PAGE_BYTES) * PAGE_BYTES);
  let got = 0;
  way.underWay++;
  try {
    if (way.isDirect) got = await readDirectly(way, pages, offsetBytes - inPage);
  } catch (error) {
    throw typedSystemError(error, "source", path, offsetBytes);
  } finally {
    way.underWay--;
  }
  const done = Math.min(end, Math.max(begin, at + got));
  readFully(fd, memory.subarray(done, end), offsetBytes + done - begin, path);
  if (begin % ALIGNMENT_BYTES === 0) return begin;
  memory.copyWithin(at, begin, end);
  return at;
}

/** How many bytes were read; 0 where the system refuses, and then always. */
async function readDirectly(way: Way, pages: Uint8Array, offsetBytes: number): Promise<number> {
  const got = await transferDirectly(async () => {
    const { bytesRead } = await readAsync(way.directFd as number, pages, 0, pages.length, offsetBytes);
    return bytesRead;
  });
  way.isDirect = got !== null;
  return got ?? 0;
}
