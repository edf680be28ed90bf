/**
 * Every error a user can meet, as one typed value: what happened, where, what was expected and found, and
 * the next thing to do. The code decides the exit code; nothing else does. Anything thrown that is not one
 * of these is a bug of this program (exit 1).
 */

/** Exit codes of the command line tool. */
export const EXIT = {
  done: 0,
  bug: 1,
  usage: 2,
  source: 3,
  malformed: 4,
  mismatch: 5,
  target: 6,
  verification: 7,
  interrupted: 130,
  terminated: 143,
} as const;

/** One code for each invariant that can be broken, with the exit code it ends in. */
export const EXIT_OF = {
  "bad-usage": EXIT.usage,

  "source-not-found": EXIT.source,
  "source-unreadable": EXIT.source,
  "source-changed": EXIT.source,

  "repository-not-found": EXIT.source,
  "revision-not-found": EXIT.source,
  "gated-repository": EXIT.source,
  "bad-token": EXIT.source,
  "no-network": EXIT.source,
  "not-in-cache": EXIT.source,
  "rate-limited": EXIT.source,
  "hub-failure": EXIT.source,
  "download-damaged": EXIT.source,
  "cache-unwritable": EXIT.source,
  "unsafe-file-name": EXIT.malformed,

  "no-weights": EXIT.malformed,
  "lfs-pointer": EXIT.malformed,
  "html-page": EXIT.malformed,
  "empty-file": EXIT.malformed,
  "unknown-format": EXIT.malformed,
  "foreign-format": EXIT.malformed,
  "unsupported-dtype": EXIT.malformed,
  "truncated-file": EXIT.malformed,
  "overlong-file": EXIT.malformed,
  "bad-json": EXIT.malformed,
  "tokenizer-malformed": EXIT.malformed,

  "header-too-long": EXIT.malformed,
  "header-malformed": EXIT.malformed,
  "duplicate-tensor": EXIT.malformed,
  "wrong-size": EXIT.malformed,
  "data-hole": EXIT.malformed,
  "data-overlap": EXIT.malformed,

  "index-malformed": EXIT.malformed,
  "shard-missing": EXIT.malformed,
  "shard-outside-folder": EXIT.malformed,
  "tensor-missing-in-shard": EXIT.malformed,

  "zip-malformed": EXIT.malformed,
  "zip-entry-compressed": EXIT.malformed,
  "pickle-malformed": EXIT.malformed,
  "pickle-too-large": EXIT.malformed,
  "pickle-opcode": EXIT.malformed,
  "pickle-global": EXIT.malformed,
  "not-a-state-dict": EXIT.malformed,
  "storage-missing": EXIT.malformed,
  "storage-size": EXIT.malformed,
  "view-out-of-bounds": EXIT.malformed,
  "big-endian": EXIT.malformed,

  "names-differ": EXIT.mismatch,
  "shapes-differ": EXIT.mismatch,
  swapped: EXIT.mismatch,
  "not-a-delta": EXIT.mismatch,
  "wrong-base": EXIT.mismatch,

  "target-exists": EXIT.target,
  "target-overlaps-source": EXIT.target,
  "target-unwritable": EXIT.target,
  "no-space": EXIT.target,
  "result-unwritable": EXIT.target,

  "no-upload-token": EXIT.target,
  "upload-token-refused": EXIT.target,
  "upload-denied": EXIT.target,
  "repository-occupied": EXIT.target,
  "repository-public": EXIT.target,
  "upload-unreachable": EXIT.target,
  "upload-rate-limited": EXIT.target,
  "upload-failed": EXIT.target,

  "delta-altered": EXIT.verification,
  "not-restorable": EXIT.verification,
  "record-malformed": EXIT.verification,
  "target-altered": EXIT.verification,

  interrupted: EXIT.interrupted,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof EXIT_OF;

export interface ErrorDetails {
  /** Path of the file the error is about. */
  file?: string;
  /** Name of the tensor the error is about. */
  tensor?: string;
  /** Where in the file, in bytes. */
  offsetBytes?: number;
  expected?: string | number;
  got?: string | number;
  /** The next thing to do, as a sentence. */
  hint?: string;
  cause?: unknown;
}

const GET_AGAIN = "The file is damaged: download or copy it again, and compare its sha256.";

/** What to do where the place that throws has nothing better to say: a damaged file is damaged however it shows. */
const USUAL_HINTS: Partial<Record<ErrorCode, string>> = {
  "truncated-file": GET_AGAIN,
  "overlong-file": GET_AGAIN,
  "header-malformed": GET_AGAIN,
  "zip-malformed": GET_AGAIN,
  "pickle-malformed": GET_AGAIN,
  "pickle-too-large": GET_AGAIN,
  "storage-missing": GET_AGAIN,
  "storage-size": GET_AGAIN,
  "view-out-of-bounds": GET_AGAIN,
  "duplicate-tensor": GET_AGAIN,
};

/**
 * An expected failure. `message` is one sentence without location; `format` adds the location, the expected and
 * found values and the way out.
 */
export class ApplyDeltaError extends Error {
  override readonly name = "ApplyDeltaError";

  readonly details: ErrorDetails;

  constructor(
    readonly code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(bounded(message), details.cause === undefined ? undefined : { cause: details.cause });
    const usualHint = USUAL_HINTS[code];
    const given =
      details.hint === undefined && usualHint !== undefined ? { ...details, hint: usualHint } : details;
    const entries = Object.entries(given) as [string, unknown][];
    this.details = Object.fromEntries(
      entries.map(([key, value]) => [key, typeof value === "string" ? bounded(value) : value]),
    );
  }

  get exitCode(): number {
    return EXIT_OF[this.code];
  }

  /** The text a user sees: one fact a line. */
  format(): string {
    const { file, tensor, offsetBytes, expected, got, hint } = this.details;
    const lines = [this.message];
    if (file !== undefined) lines.push(`  file:     ${file}`);
    if (offsetBytes !== undefined) lines.push(`  at byte:  ${offsetBytes}`);
    if (tensor !== undefined) lines.push(`  tensor:   ${tensor}`);
    if (expected !== undefined) lines.push(`  expected: ${expected}`);
    if (got !== undefined) lines.push(`  got:      ${got}`);
    if (hint !== undefined) lines.push(`  what now: ${hint}`);
    return lines.map(printable).join("\n");
  }
}

/** A line longer than this is a name or a value made to flood the terminal. */
const MAX_LINE = 2_000;

function bounded(line: string): string {
  return line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line;
}

/** One line without control characters: a tensor's name comes from a file and could hold escape sequences. */
export function printable(line: string): string {
  return escapeControls(bounded(line)).replaceAll("\n", "\\u000a");
}

/** Any text with its control characters escaped, but for line ends; JSON stays the same JSON. */
export function escapeControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, (char) =>
    char === "\n" ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
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

/** Does a system call again for as long as a signal cuts it short: reads on a network file system are. */
export function uninterrupted<T>(operation: () => T): T {
  for (;;) {
    try {
      return operation();
    } catch (error) {
      if (errnoOf(error) !== "EINTR") throw error;
    }
  }
}
