import { closeSync, fsyncSync, lstatSync, openSync, writeSync } from "node:fs";
import { ApplyDeltaError, errnoOf } from "../errors.js";
import { onSide } from "../system-errors.js";

/** Errors: `no-space`, `target-unwritable`. */
export const onTarget = onSide("target");

/** What is at a path, a link itself; undefined where there is nothing. Errors: `target-unwritable`. */
export const entryAt = (path: string) => onTarget(path, () => lstatSync(path, { throwIfNoEntry: false }));

/** Runs a step of cleaning up after an error: that one is reported, and what can't be removed is the next run's. */
export function quietly(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (errnoOf(error) === undefined && !(error instanceof ApplyDeltaError)) throw error;
  }
}

/** Runs `use` and closes the descriptor, whose error counts: a network file system may write only then. */
export function thenClose<T>(fd: number, path: string, use: () => T): T {
  let result: T;
  try {
    result = use();
  } catch (error) {
    quietly(() => closeSync(fd));
    throw error;
  }
  onTarget(path, () => closeSync(fd)); // libuv never gives EINTR here, so this closes once.
  return result;
}

/**
 * Most bytes of one write through the page cache. Linux gives a write's pages in one block of memory where it can, and
 * large blocks are those that a virtual machine has to fetch from its host: 2 MiB a write takes up to 8 times as long.
 */
const PIECE_BYTES = 128 * 1024;

/** Writes all of `bytes` at an offset, or at the end where there is none, however many calls that takes. */
export function writeFully(fd: number, bytes: Uint8Array, offsetBytes: number | null, path: string): void {
  let done = 0;
  while (done < bytes.length) {
    const length = Math.min(bytes.length - done, PIECE_BYTES);
    const at = offsetBytes === null ? null : offsetBytes + done;
    done += onTarget(path, () => writeSync(fd, bytes, done, length, at), at ?? undefined);
  }
}

/** Writes a file that isn't there yet; with `isDurable` it is on the disk then. */
export function writeNewFile(path: string, content: string | Uint8Array, isDurable: boolean): void {
  const fd = onTarget(path, () => openSync(path, "wx"));
  thenClose(fd, path, () => {
    writeFully(fd, Buffer.from(content), 0, path);
    if (isDurable) onTarget(path, () => fsyncSync(fd));
  });
}
