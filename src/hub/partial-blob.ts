/**
 * A blob on its way: a file with holes, and a note of what is in it. One run at a time writes it.
 *
 * Python keeps a download's first bytes in `<etag>.incomplete`, since 2.0 in `<etag>.<8 hex digits>.incomplete`, and
 * appends. Several ranges at once leave holes, which Python would take for data, and its `hf cache prune` deletes what
 * ends in `.incomplete`. So the bytes go to `<etag>.ranges.part` and the list of what is there to `<etag>.ranges.json`;
 * Python looks at neither. Python's own beginnings are taken over, the longest, when nobody writes to them.
 *
 * The note never says more than the file holds, so that a killed run loses bytes and never keeps wrong ones.
 */
import { closeSync, lstatSync, renameSync, rmSync, writevSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as z from "zod";
import { parsePythonJson } from "../files/json.js";
import { waitForLock } from "../files/lock.js";
import { openOwnFile, replaceOwnFile } from "../files/own-file.js";
import { cacheError, makeFolder, namesIn, onCache, readCacheText, sizeOfFile } from "./cache.js";
import { missingRanges, type Ranges, totalBytes, unionOf, withRange } from "./ranges.js";

/** A download of Python's that was not written to for so long has ended: its reads give up after 10 s. */
const ABANDONED_MS = 60_000;

/** A note has a range for each request that was cut off, some dozens; stops a file that would take a while. */
const MAX_NOTE_BYTES = 200_000;
const MOST_RANGES = 1 << 12;

const noteSchema = z.object({
  byteLength: z.int().nonnegative(),
  ranges: z.array(z.tuple([z.int().nonnegative(), z.int().positive()])).max(MOST_RANGES),
});

const pathsOf = (blobPath: string) => ({
  path: `${blobPath}.ranges.part`,
  notePath: `${blobPath}.ranges.json`,
});

export type PartialBlob = ReturnType<typeof openPartialBlob>;

/** Opens what an earlier run left, or begins. The caller holds the blob's lock. Errors: `cache-unwritable`, `no-space`. */
export function openPartialBlob(blobPath: string, byteLength: number, noteMs: number) {
  const { path, notePath } = pathsOf(blobPath);
  makeFolder(dirname(path));
  takeOver(blobPath, byteLength);
  let done = readNote(blobPath, byteLength);
  let notedAt = performance.now();
  const fd = onCache(path, () => openOwnFile(path, "update"));
  let isOpen = true;
  const note = () => {
    onCache(notePath, () => replaceOwnFile(notePath, JSON.stringify({ byteLength, ranges: done })));
    notedAt = performance.now();
  };
  const close = () => {
    isOpen = false;
    closeSync(fd);
  };
  return {
    /** The file under way. */
    file: { fd, path, byteLength },
    /** So much is there without a gap, from the first byte on. */
    leadingBytes: () => (done[0]?.[0] === 0 ? done[0][1] : 0),
    bytesDone: () => totalBytes(done),
    /** In pieces of at most `mostBytes`. */
    missing: (mostBytes: number) => missingRanges(done, byteLength, mostBytes),
    /** Gives their length. */
    write(offset: number, parts: readonly Uint8Array[]): number {
      const byteLength = onCache(path, () => writeAll(fd, parts, offset));
      done = withRange(done, [offset, offset + byteLength]);
      if (performance.now() - notedAt >= noteMs) note();
      return byteLength;
    },
    /** Writes the note and closes the file; both stay for the next run. */
    close(): void {
      if (!isOpen) return;
      try {
        note();
      } finally {
        close();
      }
    },
    /** Makes the file, which is whole, the blob. */
    publish(): void {
      close();
      onCache(blobPath, () => renameSync(path, blobPath));
      rmSync(notePath, { force: true });
      // Those that weren't taken over and that nobody went on with.
      for (const left of pythonsBeginnings(blobPath)) rmSync(left.path, { force: true });
    },
    /** Forgets everything that arrived. */
    startOver(): void {
      done = [];
      note();
    },
  };
}

function writeAll(fd: number, parts: readonly Uint8Array[], offset: number): number {
  let at = offset;
  for (let left = parts; left.length > 0; ) {
    let written = writevSync(fd, left, at);
    at += written;
    left = left.flatMap((part) => {
      const begun = Math.min(written, part.length);
      written -= begun;
      return begun === part.length ? [] : [part.subarray(begun)];
    });
  }
  return at - offset;
}

/** What has arrived of a blob, by its note, without opening it. */
export function partialBytes(blobPath: string, byteLength: number): number {
  if (sizeOfFile(pathsOf(blobPath).path) !== null) return totalBytes(readNote(blobPath, byteLength));
  return longestBeginning(blobPath, byteLength)?.size ?? 0;
}

/** The ranges that are noted and may be in the file; none where the note is malformed or of something else. */
function readNote(blobPath: string, byteLength: number): Ranges {
  const { path, notePath } = pathsOf(blobPath);
  const text = readCacheText(notePath, MAX_NOTE_BYTES) ?? "";
  const most = Math.min(sizeOfFile(path) ?? 0, byteLength);
  try {
    const note = noteSchema.parse(parsePythonJson(text));
    const within = note.ranges.filter(([start, end]) => start < end && end <= most);
    return note.byteLength === byteLength ? unionOf(within) : [];
  } catch {
    return [];
  }
}

/** Python's beginning becomes ours, as a range from the first byte on. What it holds is checked by the digest at the end. */
function takeOver(blobPath: string, byteLength: number): void {
  const { path, notePath } = pathsOf(blobPath);
  const longest = sizeOfFile(path) === null ? longestBeginning(blobPath, byteLength) : undefined;
  if (longest === undefined) return;
  onCache(path, () => {
    replaceOwnFile(notePath, JSON.stringify({ byteLength, ranges: [[0, longest.size]] }));
    renameSync(longest.path, path);
  });
}

interface Beginning {
  readonly path: string;
  readonly size: number;
}

function longestBeginning(blobPath: string, byteLength: number): Beginning | undefined {
  const usable = pythonsBeginnings(blobPath).filter(({ size }) => size > 0 && size <= byteLength);
  return usable.sort((a, b) => b.size - a.size)[0];
}

const PYTHONS = /^\.(?:[0-9a-f]{8}\.)?incomplete$/;

/** What Python has of a blob and no longer writes to. */
function pythonsBeginnings(blobPath: string): Beginning[] {
  const [folder, etag] = [dirname(blobPath), basename(blobPath)];
  return namesIn(folder).flatMap((name) => {
    const path = join(folder, name);
    if (!name.startsWith(etag) || !PYTHONS.test(name.slice(etag.length))) return [];
    const stat = onCache(path, () => lstatSync(path, { throwIfNoEntry: false }));
    const isAbandoned = stat?.isFile() === true && Date.now() - stat.mtimeMs > ABANDONED_MS;
    return isAbandoned ? [{ path, size: stat.size }] : [];
  });
}

/**
 * Waits for the lock, and gives what releases it. `onWait` is called once if another run holds it. Python has other
 * locks and files. Errors: `interrupted`, `cache-unwritable`.
 */
export async function lockBlob(
  path: string,
  signal?: AbortSignal,
  onWait: () => void = () => {},
  silentMs?: number,
): Promise<() => void> {
  makeFolder(dirname(path));
  const options = { signal, onWait, ...(silentMs === undefined ? {} : { silentMs }) };
  const lock = await waitForLock(dirname(path), basename(path), options).catch((error: unknown) => {
    throw cacheError(error, path);
  });
  return () => onCache(path, lock.release);
}
