/**
 * Every error a user can meet, as one typed value. Its code alone decides the exit code. Anything else thrown is a bug
 * of this program (exit 1).
 */
import type { ReportedDetails } from "./documents.js";
import { type ErrorCode, EXIT_OF } from "./error-codes.js";
import { formatError } from "./error-text.js";
import { bounded } from "./printable.js";

export { type ErrorCode, EXIT, EXIT_MEANINGS, EXIT_OF } from "./error-codes.js";

/** Where it happened, what was expected and found, and the way out. What is not known is absent. */
export interface ErrorDetails extends ReportedDetails {
  /** The error of the system or of another program behind it. */
  readonly cause?: unknown;
}

const GET_AGAIN = "The file is damaged: download or copy it again, and compare its SHA-256.";

/** The codes whose usual hint is to get the file again. */
const DAMAGED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "truncated-file",
  "overlong-file",
  "header-malformed",
  "header-too-long",
  "wrong-size",
  "data-hole",
  "data-overlap",
  "zip-malformed",
  "pickle-malformed",
  "pickle-too-large",
  "storage-missing",
  "storage-size",
  "view-out-of-bounds",
  "duplicate-tensor",
]);

/** Whether an error says that a file isn't as it was written. */
export function isDamage({ code }: ApplyDeltaError): boolean {
  return DAMAGED.has(code);
}

/** An expected failure. `message` is one sentence without location; `format` adds `details`. */
export class ApplyDeltaError extends Error {
  override readonly name = "ApplyDeltaError";

  /** Where it happened, what was expected and found, and the way out. */
  readonly details: ErrorDetails;

  constructor(
    /** Which invariant was broken. */
    readonly code: ErrorCode,
    message: string,
    /** What is null or undefined isn't known. */
    details: { readonly [Fact in keyof ErrorDetails]?: ErrorDetails[Fact] | null | undefined } = {},
  ) {
    super(bounded(message), details.cause == null ? undefined : { cause: details.cause });
    const usual = DAMAGED.has(code) ? { hint: GET_AGAIN } : {};
    const known = Object.entries(details).filter(([, value]) => value != null);
    const short = known.map(([key, value]) => [key, typeof value === "string" ? bounded(value) : value]);
    this.details = { ...usual, ...Object.fromEntries(short) };
  }

  /** What the command line would exit with. */
  get exitCode(): number {
    return EXIT_OF[this.code];
  }

  /** The text a user sees: one fact a line, none twice, sizes as people read them. */
  format(): string {
    return formatError(this.message, this.details);
  }
}

/** An error as plain data, on its way to another thread. */
export type ErrorData = Pick<ApplyDeltaError, "code" | "message" | "details">;

/** The error again, of the same code. */
export function errorFrom({ code, message, details }: ErrorData): ApplyDeltaError {
  return new ApplyDeltaError(code, message, details);
}

/** Narrows a caught value, and to one code if given. */
export function isApplyDeltaError<Code extends ErrorCode = ErrorCode>(
  error: unknown,
  code?: Code,
): error is ApplyDeltaError & { readonly code: Code } {
  return error instanceof ApplyDeltaError && (code === undefined || error.code === code);
}

/** The errno name (`ENOENT`, `ENOSPC`, …) of a system error, if it is one. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Repeats a system call that a signal cut short, as happens to reads on a network file system. */
export function uninterrupted<T>(operation: () => T): T {
  for (;;) {
    try {
      return operation();
    } catch (error) {
      if (errnoOf(error) !== "EINTR") throw error;
    }
  }
}
