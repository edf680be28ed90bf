import { EXIT, isApplyDeltaError } from "../errors.js";
import type { Reporter } from "../progress.js";
import { environment } from "./environment.js";
import { type CommonOptions, failWith, printReport, type Report } from "./output.js";
import { createStreamReporter } from "./stream-reporter.js";

/** What every call of the library is given by the command line. */
export interface CallContext {
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
}

/** Runs a command until it ends or a signal stops it; prints its report or error, sets the exit code. Never throws. */
export async function runCommand(
  options: CommonOptions,
  body: (context: CallContext) => Promise<Report>,
): Promise<void> {
  const controller = new AbortController();
  const reporter = createStreamReporter({
    stream: process.stderr,
    level: options.quiet ? "quiet" : options.verbose ? "verbose" : "normal",
    showProgress: options.progress ?? true,
    signal: controller.signal,
    variables: environment(),
  });
  let stopSignal: NodeJS.Signals | undefined;
  const stop = (signal: NodeJS.Signals) => {
    stopSignal = signal;
    // The bar goes away now, cursor and all: a second signal leaves no time for it.
    reporter.progressDone();
    controller.abort();
  };
  // Once: a second Ctrl-C finds the default handler and ends the process at once.
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    const report = await body({ signal: controller.signal, reporter });
    printReport(report, options);
    process.exitCode = report.exitCode ?? EXIT.done;
  } catch (error) {
    failWith(error, options);
    if (stopSignal === "SIGTERM" && isApplyDeltaError(error, "interrupted"))
      process.exitCode = EXIT.terminated;
  } finally {
    process.removeListener("SIGINT", stop);
    process.removeListener("SIGTERM", stop);
  }
}
