/**
 * What every command needs around it: a signal that Ctrl-C aborts, a reporter, errors as messages and exit codes.
 */

import type { ErrorDocument } from "../error-document.js";
import { type ErrorDetails, EXIT, isApplyDeltaError } from "../errors.js";
import { explainSystemError } from "../load-module.js";
import { escapeControls } from "../printable.js";
import type { Reporter } from "../progress.js";
import type { CommonOptions } from "./common-options.js";
import { environment } from "./environment.js";
import { escapeUnpainted, type Palette, paletteFor } from "./terminal.js";

export interface CommandContext {
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
  /** Sets the exit code of a command that did its work and found something wrong. */
  endWith(this: void, code: number): void;
}

/** Runs a command's body and sets the exit code. Never throws. */
export async function runCommand(
  options: CommonOptions,
  body: (context: CommandContext) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  let stopSignal: "SIGINT" | "SIGTERM" | undefined;
  let reporter: Reporter | undefined;
  const stop = (signal: "SIGINT" | "SIGTERM") => {
    stopSignal = signal;
    // The bar goes away now, cursor and all: a second signal leaves no time for it.
    reporter?.progressDone();
    controller.abort();
  };
  // Once: a second Ctrl-C finds the default handler and ends the process at once.
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    const { createStreamReporter } = await import("./stream-reporter.js");
    reporter = createStreamReporter({
      stream: process.stderr,
      level: options.quiet ? "quiet" : options.verbose ? "verbose" : "normal",
      showProgress: options.progress ?? true,
      signal: controller.signal,
      variables: environment(),
    });
    let exitCode: number = EXIT.done;
    const endWith = (code: number) => {
      exitCode = code;
    };
    await body({ signal: controller.signal, reporter, endWith });
    process.exitCode = exitCode;
  } catch (caught) {
    const error = explainSystemError(caught);
    reportError(error, options);
    process.exitCode = exitCodeOf(error, stopSignal);
  } finally {
    process.removeListener("SIGINT", stop);
    process.removeListener("SIGTERM", stop);
  }
}

function exitCodeOf(error: unknown, stopSignal: "SIGINT" | "SIGTERM" | undefined): number {
  if (stopSignal === "SIGTERM" && isApplyDeltaError(error, "interrupted")) return EXIT.terminated;
  return isApplyDeltaError(error) ? error.exitCode : EXIT.bug;
}

/** The message on stderr; with --json, also the one document that stdout gets. */
function reportError(error: unknown, options: CommonOptions): void {
  const isOurs = isApplyDeltaError(error);
  const text = isOurs ? error.format() : `This is a bug of vicuna-apply-delta: ${String(error)}`;
  process.stderr.write(`${errorLabel()} ${escapeControls(text)}\n`);
  if (error instanceof Error && (options.verbose || !isOurs))
    process.stderr.write(`${escapeControls(describeStack(error))}\n`);
  if (!options.json) return;
  const message = error instanceof Error ? error.message : String(error);
  printError(isOurs ? error.code : "bug", message, isOurs ? error.details : {});
}

/** What an error begins with on stderr. */
export function errorLabel(): string {
  return paletteFor(process.stderr, environment()).bad("error:");
}

/** The document that stdout gets instead of a result. */
export function printError(
  code: ErrorDocument["error"]["code"],
  message: string,
  { cause: _, ...details }: ErrorDetails,
): void {
  const document: ErrorDocument = { error: { code, message, ...details } };
  print(JSON.stringify(document, null, 2));
}

function describeStack(error: Error): string {
  const causes: string[] = [];
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    causes.push(cause.stack ?? String(cause));
  return causes.join("\ncaused by: ");
}

/** Writes a document to stdout: what programs read, so never painted. */
export function print(text: string): void {
  process.stdout.write(`${escapeControls(text)}\n`);
}

/** Writes a result: as a document with --json, else as a report, unless --quiet. */
export function printResult(
  { json, quiet }: CommonOptions,
  document: object,
  format: (paint: Palette) => string,
): void {
  if (json) print(JSON.stringify(document, null, 2));
  else if (!quiet) printReport(format);
}

/** Writes a report to stdout: what people read, painted where they see it on a terminal. */
export function printReport(format: (paint: Palette) => string): void {
  const palette = paletteFor(process.stdout, environment());
  process.stdout.write(`${escapeUnpainted(format(palette), palette)}\n`);
}
