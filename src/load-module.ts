/**
 * In: an `import()` of this program's own. Out: the module, loaded when it is needed.
 * Guards: what the program itself needs and hasn't is a typed error and no bug.
 */
import { ApplyDeltaError, errnoOf, isApplyDeltaError } from "./errors.js";

/** Loads a module. Errors: `source-unreadable` where too many files are open. */
export async function loadModule<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    throw explainSystemError(error);
  }
}

/** The same error; a typed one where the system lacks what the program itself needs. */
export function explainSystemError(error: unknown): unknown {
  if (!(error instanceof Error) || isApplyDeltaError(error)) return error;
  // Where no more files may be opened, its modules can't be loaded either.
  if (errnoOf(error) === "EMFILE") {
    return new ApplyDeltaError("source-unreadable", "The program can't open the files it needs (EMFILE).", {
      hint: "Too many files are open: raise the limit with `ulimit -n 4096`.",
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
