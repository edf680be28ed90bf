/** In: an error. Out: the document that `--json` prints instead of a result. */
import type { ErrorCode, ErrorDetails } from "./errors.js";

/** What went wrong, for a script. */
export interface ReportedError extends Omit<ErrorDetails, "cause"> {
  /** Which invariant was broken; `bug` where it is one of this program. */
  readonly code: ErrorCode | "bug";
  /** One sentence, without the place. */
  readonly message: string;
}

/** What any command prints with `--json` where it fails. */
export interface ErrorDocument {
  /** What went wrong. */
  readonly error: ReportedError;
}

/** The document of an error. */
export function errorDocument(
  code: ReportedError["code"],
  message: string,
  { cause: _, ...details }: ErrorDetails,
): ErrorDocument {
  return { error: { code, message, ...details } };
}
