/** What is written to stdout and stderr: results, errors, and what it means when they can't be written. */
import type { ErrorDocument } from "../error-document.js";
import { ApplyDeltaError, type ErrorDetails, EXIT, errnoOf, isApplyDeltaError } from "../errors.js";
import { escapeControls } from "../printable.js";
import { explainSystemError } from "../system-errors.js";
import { PROGRAM_NAME } from "../version.js";
import { environment } from "./environment.js";
import { escapeUnpainted, type Palette, paletteFor, widthOf } from "./terminal.js";
import { wrapLine, wrapText } from "./wrap.js";

/** The options of every command. */
export interface CommonOptions {
  json?: true | undefined;
  quiet?: true;
  verbose?: true;
  progress?: boolean;
}

/** What a command made or found. */
export interface Report {
  /** What --json prints. */
  readonly document: object;
  /** The same for people. */
  readonly format: (paint: Palette) => string;
  /** By default 0. */
  readonly exitCode?: number;
  /** Shown even with --quiet. */
  readonly isUrgent?: boolean;
}

/** Writes the result to stdout: a document for programs, never painted, or a text for people. */
export function printReport({ document, format, isUrgent }: Report, { json, quiet }: CommonOptions): void {
  const palette = paletteFor(process.stdout, environment());
  if (json) printDocument(document);
  else if (!quiet || isUrgent) {
    const text = escapeUnpainted(format(palette), palette);
    process.stdout.write(`${wrapText(text, widthOf(process.stdout))}\n`);
  }
}

function printDocument(document: object): void {
  process.stdout.write(`${escapeControls(JSON.stringify(document, null, 2))}\n`);
}

/** Sets the exit code and writes the message to stderr; with --json also a document to stdout. */
export function failWith(caught: unknown, { json, verbose }: CommonOptions): void {
  const error = explainSystemError(caught);
  const isOurs = isApplyDeltaError(error);
  process.exitCode = isOurs ? error.exitCode : EXIT.bug;
  writeError(isOurs ? error.format() : `This is a bug of ${PROGRAM_NAME}: ${String(error)}`);
  if (error instanceof Error && (verbose || !isOurs))
    process.stderr.write(`${escapeControls(describeStack(error))}\n`);
  if (!json) return;
  const message = error instanceof Error ? error.message : String(error);
  printError(isOurs ? error.code : "bug", message, isOurs ? error.details : {});
}

/** Where the facts of an error begin: behind `  expected: `. */
const FACT_COLUMN = 12;

function writeError(text: string): void {
  const label = paletteFor(process.stderr, environment()).bad("error:");
  const lines = `${label} ${escapeControls(text)}`.split("\n");
  const width = widthOf(process.stderr);
  const wrapped = lines.map((line, i) => wrapLine(line, width, i === 0 ? 2 : FACT_COLUMN));
  process.stderr.write(`${wrapped.join("\n")}\n`);
}

/** The document that stdout gets instead of a result. */
export function printError(
  code: ErrorDocument["error"]["code"],
  message: string,
  { cause: _, ...details }: ErrorDetails,
): void {
  printDocument({ error: { code, message, ...details } } satisfies ErrorDocument);
}

function describeStack(error: Error): string {
  const causes: string[] = [];
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    causes.push(cause.stack ?? String(cause));
  return causes.join("\ncaused by: ");
}

/**
 * Call it once, before anything is written. A merge goes on when its messages can't be written: the terminal is
 * closed, the disk of the log is full. A result that can't be written is an error.
 */
export function watchOutputs(): void {
  process.stderr.on("error", () => {});
  process.stdout.on("error", (error: unknown) => {
    const errno = errnoOf(error);
    // The reader of a pipe has what it wants (`| head`), or the terminal was closed.
    if (errno === "EPIPE" || (errno === "EIO" && process.stdout.isTTY)) return;
    const failure = new ApplyDeltaError("result-unwritable", `Can't write the result (${errno}).`, {
      file: "stdout",
      hint: "The command did its work. Send stdout to a disk with free space, and look with `verify` or `inspect`.",
      cause: error,
    });
    writeError(failure.format());
    // The command has yet to set its own exit code.
    process.once("exit", () => {
      if (process.exitCode === undefined || process.exitCode === EXIT.done)
        process.exitCode = failure.exitCode;
    });
  });
}
