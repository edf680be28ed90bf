/** What errors of the operating system mean to a user. */
import { basename } from "node:path";
import { ApplyDeltaError, type ErrorCode, errnoOf, uninterrupted } from "./errors.js";
import { bounded } from "./printable.js";

/** Whether a file is read or written. */
type Side = "source" | "target";

const NO_PERMISSION = "You lack permission to read it: check with `ls -l`.";
const TOO_MANY_FILES = "Too many files are open: raise the limit with `ulimit -n 4096`.";
const FREE_SPACE = "Free some space or choose a folder on another disk; --dry-run says how much is needed.";

/** What to do about an errno. */
const HINTS: Readonly<Record<Side, Readonly<Record<string, string>>>> = {
  source: {
    ENOENT: "Check the path for a typo.",
    ENOTDIR: "Check the path for a typo.",
    EACCES: NO_PERMISSION,
    EPERM: NO_PERMISSION,
    EMFILE: TOO_MANY_FILES,
    ENAMETOOLONG: "Check the path: it is longer than the system allows.",
    ELOOP: "The symbolic link leads in a circle: put the file itself in its place.",
    EIO: "The disk reports a read error: copy the file elsewhere or download it again.",
  },
  target: {
    ENOSPC: FREE_SPACE,
    EDQUOT: FREE_SPACE,
    EACCES: "You lack permission to write there: choose another folder or change the folder's rights.",
    EPERM: "The system forbids writing there: choose another folder.",
    EROFS: "The file system is mounted read-only: choose another folder.",
    EFBIG:
      "Files of this size aren't allowed there (`ulimit -f`, or the file system): use a smaller --max-shard-size.",
    EIO: "The disk reports an error: check it, or choose a folder on another disk.",
    ENODEV: "The disk is gone: connect it again, or choose a folder on another disk.",
    ESTALE: "The network file system lost the folder: mount it again, or choose another folder.",
    EMFILE: TOO_MANY_FILES,
    ELOOP: "A link is where a file of this program belongs: remove it, or choose another folder.",
    ENAMETOOLONG: "The name is too long for the file system: choose a shorter one.",
    ENOTDIR: "A part of the path is a file: choose another folder.",
  },
};

/** File systems allow names of up to 255 characters; a longer one would push the error itself off the line. */
const MOST_OF_NAME = 255;

const USUAL_HINTS: Readonly<Record<Side, string>> = {
  source: "Check that the file can be read, for example with `sha256sum`.",
  target: "Choose another folder.",
};

/** Turns a system error into a typed one. Typed errors and anything else pass through. */
export function typedSystemError(error: unknown, side: Side, path: string, offsetBytes?: number): unknown {
  const errno = errnoOf(error);
  if (errno === undefined || error instanceof ApplyDeltaError) return error;
  const name = bounded(basename(path), MOST_OF_NAME);
  const [code, message] = side === "source" ? readError(errno, name) : writeError(errno, name);
  return new ApplyDeltaError(code, message, {
    file: path,
    offsetBytes,
    hint: HINTS[side][errno] ?? USUAL_HINTS[side],
    cause: error,
  });
}

/**
 * Makes a function that runs a file operation on one side with its errors typed, again where a signal cut it short;
 * `offsetBytes` is where in the file it is.
 */
export function onSide(side: Side) {
  return <T>(path: string, operation: () => T, offsetBytes?: number): T => {
    try {
      return uninterrupted(operation);
    } catch (error) {
      throw typedSystemError(error, side, path, offsetBytes);
    }
  };
}

function readError(errno: string, name: string): [ErrorCode, string] {
  if (errno === "ENOENT" || errno === "ENOTDIR") return ["source-not-found", `There is no file ${name}.`];
  return ["source-unreadable", `Can't read ${name} (${errno}).`];
}

function writeError(errno: string, name: string): [ErrorCode, string] {
  if (errno === "ENOSPC") return ["no-space", "The disk is full."];
  if (errno === "EDQUOT") return ["no-space", "The disk quota is used up."];
  return ["target-unwritable", `Can't write ${name} (${errno}).`];
}

/** Loads a module of this program. Errors: `source-unreadable` if too many files are open. */
export async function loadModule<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    throw explainSystemError(error);
  }
}

/** The same error, or a typed one if the system lacks what the program itself needs. */
export function explainSystemError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof ApplyDeltaError) return error;
  // Its own modules can't be loaded either, nor its threads started.
  if (errnoOf(error) === "EMFILE" || isThreadWithoutFiles(error)) {
    return new ApplyDeltaError("source-unreadable", "The program can't open the files it needs (EMFILE).", {
      hint: TOO_MANY_FILES,
      cause: error,
    });
  }
  if ("syscall" in error && error.syscall === "uv_cwd") {
    return new ApplyDeltaError("source-not-found", "The folder you are in doesn't exist any more.", {
      hint: "Go to one that does, for example by `cd ..`, and run the command again.",
      cause: error,
    });
  }
  return error;
}

/** Node.js gives the errno of a thread that couldn't start in the message alone. */
function isThreadWithoutFiles(error: Error): boolean {
  return "code" in error && error.code === "ERR_WORKER_INIT_FAILED" && error.message.includes("EMFILE");
}

/** Runs a transfer in the background; none of it is done where a signal cut it short. Other errors are typed. */
export async function backgroundTransfer(
  side: Side,
  path: string,
  offsetBytes: number,
  transfer: () => Promise<number>,
): Promise<number> {
  try {
    return await transfer();
  } catch (error) {
    if (errnoOf(error) === "EINTR") return 0;
    throw typedSystemError(error, side, path, offsetBytes);
  }
}
