/**
 * In: a system error met while writing. Out: a typed error that says what the disk or the system refused.
 */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { ApplyDeltaError, errnoOf, uninterrupted } from "../errors.js";

const HINTS: Record<string, string> = {
  EACCES: "You lack permission to write there: choose another folder or change the folder's rights.",
  EPERM: "The system forbids writing there: choose another folder.",
  EROFS: "The file system is mounted read-only: choose another folder.",
  EFBIG:
    "Files of this size aren't allowed there (`ulimit -f`, or the file system): use a smaller --max-shard-size.",
  EIO: "The disk reports an error: check it, or choose a folder on another disk.",
  ENODEV: "The disk is gone: connect it again, or choose a folder on another disk.",
  ESTALE: "The network file system lost the folder: mount it again, or choose another folder.",
  EMFILE: "Too many files are open: raise the limit with `ulimit -n 4096`.",
  ENAMETOOLONG: "The name is too long for the file system: choose a shorter one.",
  ENOTDIR: "A part of the path is a file: choose another folder.",
};

/** Turns a system error into `no-space` or `target-unwritable`. Anything else passes through. */
export function targetError(error: unknown, path: string, offsetBytes?: number): unknown {
  const errno = errnoOf(error);
  if (errno === undefined || error instanceof ApplyDeltaError) return error;
  const where = offsetBytes === undefined ? { file: path } : { file: path, offsetBytes };
  if (errno === "ENOSPC" || errno === "EDQUOT") {
    const what = errno === "EDQUOT" ? "The disk quota is used up." : "The disk is full.";
    return new ApplyDeltaError("no-space", what, {
      ...where,
      hint: "Free some space or choose a folder on another disk; --dry-run says how much is needed.",
      cause: error,
    });
  }
  return new ApplyDeltaError("target-unwritable", `The folder to make can't be written (${errno}).`, {
    ...where,
    hint: HINTS[errno] ?? "Choose another folder.",
    cause: error,
  });
}

/**
 * Runs a file operation on the target's side, with its errors typed; again where a signal cut it short. `offsetBytes`
 * is where in the file it is.
 */
export function onTarget<T>(path: string, operation: () => T, offsetBytes?: number): T {
  try {
    return uninterrupted(operation);
  } catch (error) {
    throw targetError(error, path, offsetBytes);
  }
}

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
  closeFile(fd, path);
  return result;
}

/** Not through `onTarget`: a descriptor is closed once, whatever is said. */
export function closeFile(fd: number, path: string): void {
  try {
    closeSync(fd);
  } catch (error) {
    throw targetError(error, path);
  }
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
