/**
 * In: stdout and stderr, which may be closed, full or gone while the program writes to them. Out: what that means.
 * Guards: a merge that is under way is never ended by what it can't say. A result that is lost is an error.
 */
import { ApplyDeltaError, EXIT, errnoOf } from "../errors.js";
import { errorLabel } from "./run-command.js";

/** To be called once, before anything is written. */
export function watchOutputs(): void {
  // Messages that nobody can read: the terminal is closed, the disk of the log is full.
  process.stderr.on("error", () => {});
  process.stdout.on("error", (error: unknown) => {
    if (!isUnread(error)) failFor(error);
  });
}

/** A reader that closes its end of a pipe (`| head`) has what it wants; a terminal that is closed reads nothing. */
function isUnread(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === "EPIPE" || (errno === "EIO" && process.stdout.isTTY);
}

function failFor(cause: unknown): void {
  const error = new ApplyDeltaError("result-unwritable", `The result can't be written (${errnoOf(cause)}).`, {
    file: "stdout",
    hint: "What the command makes is made. Let stdout go where there is room, and look with `verify` or `inspect`.",
    cause,
  });
  process.stderr.write(`${errorLabel()} ${error.format()}\n`);
  // The command has its own exit code to set yet.
  process.once("exit", () => {
    if (process.exitCode === undefined || process.exitCode === EXIT.done) process.exitCode = error.exitCode;
  });
}
