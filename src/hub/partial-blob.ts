/**
 * A blob on its way: a file with holes, and a note of what is in it.
 *
 * Python keeps a download's first bytes in `<etag>.incomplete` and appends. Several ranges at once leave holes, which
 * Python would take for data. So the bytes go to `<etag>.ranges.incomplete` and the list of what is there to
 * `<etag>.ranges.json`; Python looks at neither. Python's own beginning is taken over when nobody writes to it.
 *
 * The note never says more than the file holds, so that a killed run loses bytes and never keeps wrong ones.
 */
import {
  closeSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { makeFolder, onCache, sizeOfFile } from "./cache.js";
import { missingRanges, type Range, type Ranges, totalBytes, withRange } from "./ranges.js";

export interface PartialBlob {
  /** The file under way. */
  readonly path: string;
  bytesDone(): number;
  /** What is missing, in pieces of at most `mostBytes`. */
  missing(mostBytes: number): Range[];
  write(offset: number, bytes: Uint8Array): void;
  /** Writes the note and closes the file; both stay for the next run. */
  close(): void;
  /** Makes the file, which is whole, the blob. */
  publish(blobPath: string): void;
  /** Forgets everything that arrived. */
  startOver(): void;
}

/** A download of Python's that was not written to for so long has ended: its reads give up after 10 s. */
const ABANDONED_MS = 60_000;

const noteSchema = z.object({
  byteLength: z.number().int().nonnegative(),
  ranges: z.array(z.tuple([z.number().int().nonnegative(), z.number().int().positive()])),
});

/** Opens what an earlier run left, or begins. The caller holds the blob's lock. Errors: `cache-unwritable`, `no-space`. */
export function openPartialBlob(blobPath: string, byteLength: number, noteBytes: number): PartialBlob {
  const path = `${blobPath}.ranges.incomplete`;
  const notePath = `${blobPath}.ranges.json`;
  makeFolder(dirname(path));
  takeOver(`${blobPath}.incomplete`, path, byteLength);
  let done: Ranges = readNote(path, notePath, byteLength);
  let notedBytes = totalBytes(done);
  const fd = onCache(path, () => openSync(path, sizeOfFile(path) === null ? "w+" : "r+"));
  let isOpen = true;
  const note = () => {
    const text = JSON.stringify({ byteLength, ranges: done });
    onCache(notePath, () => {
      writeFileSync(`${notePath}.new`, text);
      renameSync(`${notePath}.new`, notePath);
    });
    notedBytes = totalBytes(done);
  };
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    closeSync(fd);
  };
  return {
    path,
    bytesDone: () => totalBytes(done),
    missing: (mostBytes) => missingRanges(done, byteLength, mostBytes),
    write(offset, bytes) {
      onCache(path, () => {
        for (let at = 0; at < bytes.length; ) {
          at += writeSync(fd, bytes, at, bytes.length - at, offset + at);
        }
      });
      done = withRange(done, [offset, offset + bytes.length]);
      if (totalBytes(done) - notedBytes >= noteBytes) note();
    },
    close() {
      if (!isOpen) return;
      try {
        note();
      } finally {
        close();
      }
    },
    publish(target) {
      close();
      onCache(target, () => renameSync(path, target));
      rmSync(notePath, { force: true });
      // Where Python's own beginning was too fresh to take over and nobody went on with it.
      removeIfAbandoned(`${blobPath}.incomplete`);
    },
    startOver() {
      done = [];
      note();
    },
  };
}

/** What has arrived of a blob, by its note, without opening it. */
export function partialBytes(blobPath: string, byteLength: number): number {
  const path = `${blobPath}.ranges.incomplete`;
  const own = sizeOfFile(path) !== null;
  if (own) return totalBytes(readNote(path, `${blobPath}.ranges.json`, byteLength));
  return isAbandoned(`${blobPath}.incomplete`)
    ? Math.min(byteLength, sizeOfFile(`${blobPath}.incomplete`) ?? 0)
    : 0;
}

/** The ranges that are noted and may be in the file; none where the note is of something else. */
function readNote(path: string, notePath: string, byteLength: number): Ranges {
  const size = sizeOfFile(path) ?? 0;
  if (sizeOfFile(notePath) === null) return [];
  const text = onCache(notePath, () => readFileSync(notePath, "utf8"));
  const note = noteSchema.safeParse(jsonOf(text));
  if (!note.success || note.data.byteLength !== byteLength) return [];
  const within = note.data.ranges.filter(([start, end]) => start < end && end <= Math.min(size, byteLength));
  return within.reduce<Ranges>(withRange, []);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // As good as no note.
  }
}

/** Python's beginning becomes ours, as a range from the first byte on. */
function takeOver(theirs: string, ours: string, byteLength: number): void {
  if (sizeOfFile(ours) !== null || !isAbandoned(theirs)) return;
  const size = sizeOfFile(theirs) ?? 0;
  if (size === 0 || size > byteLength) return;
  const blobPath = theirs.slice(0, -".incomplete".length);
  onCache(ours, () => {
    writeFileSync(`${blobPath}.ranges.json`, JSON.stringify({ byteLength, ranges: [[0, size]] }));
    renameSync(theirs, ours);
  });
}

function isAbandoned(path: string): boolean {
  const stat = onCache(path, () => statSync(path, { throwIfNoEntry: false }));
  return stat !== undefined && Date.now() - stat.mtimeMs > ABANDONED_MS;
}

function removeIfAbandoned(path: string): void {
  if (isAbandoned(path)) rmSync(path, { force: true });
}
