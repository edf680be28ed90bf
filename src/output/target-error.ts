/**
 * In: a system error met while writing. Out: a typed error that says what the disk or the system refused.
 */
import { writeSync } from "node:fs";
import { ApplyDeltaError, errnoOf } from "../errors.js";

const HINTS: Record<string, string> = {
  EACCES: "You lack permission to write there: choose another --target or change the folder's rights.",
  EPERM: "The system forbids writing there: choose another --target.",
  EROFS: "The file system is mounted read-only: choose another --target.",
  EFBIG: "The file system can't hold files of this size: use a smaller --max-shard-size.",
  EIO: "The disk reports an error: check it, or choose a --target on another disk.",
  EMFILE: "Too many files are open: raise the limit with `ulimit -n 4096`.",
  ENAMETOOLONG: "The name is too long for the file system: choose a shorter --target.",
  ENOTDIR: "A part of the path is a file: choose another --target.",
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
      hint: "Free some space or choose a --target on another disk; --dry-run says how much is needed.",
      cause: error,
    });
  }
  return new ApplyDeltaError("target-unwritable", `The target can't be written (${errno}).`, {
    ...where,
    hint: HINTS[errno] ?? "Choose another --target.",
    cause: error,
  });
}

/** Runs a file operation on the target's side, with its errors typed. */
export function onTarget<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw targetError(error, path);
  }
}

/**
 * Most bytes of one write through the page cache. Linux gives a write's pages in one block of memory where it can, and
 * large blocks are those that a virtual machine has to fetch from its host: 2 MiB a write takes up to 8 times as long.
 */
const PIECE_BYTES = 128 * 1024;

/** Writes all of `bytes` at an offset, however many calls that takes. */
export function writeFully(fd: number, bytes: Uint8Array, offsetBytes: number, path: string): void {
  let done = 0;
  while (done < bytes.length) {
    try {
      const length = Math.min(bytes.length - done, PIECE_BYTES);
      done += writeSync(fd, bytes, done, length, offsetBytes + done);
    } catch (error) {
      throw targetError(error, path, offsetBytes + done);
    }
  }
}
