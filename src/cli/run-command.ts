import { existsSync, writeSync } from "node:fs";
import { EXIT, isApplyDeltaError } from "../errors.js";
import type { Reporter } from "../progress.js";
import { stagingPathOf } from "../target/describe.js";
import { environment, isSet } from "./environment.js";
import { type CommonOptions, failWith, printReport, type Report } from "./output.js";
import { createStreamReporter } from "./stream-reporter.js";

/** What every call of the library is given by the command line. */
export interface CallContext {
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
}

const STOP_SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** npm and npx pass on the Ctrl-C that the terminal sends as well: a second one that soon isn't a person's. */
const ECHO_MS = 200;

/** A run that takes longer to stop, as with a slow disk, says so. */
const SLOW_STOP_MS = 1_500;

/** What is said of a run that a second Ctrl-C ends, before it could clear up. */
function describeLeftover(made: string | undefined): string {
  const staging = made === undefined ? "" : stagingPathOf(made);
  const isThere = staging !== "" && existsSync(staging);
  return isThere
    ? `Stopped at once; ${staging} remains, and the next run deals with it.`
    : "Stopped at once.";
}

/** Runs a command until it ends or a signal stops it; prints its report or error, sets the exit code. Never throws. */
export async function runCommand(
  options: CommonOptions,
  /** The folder that the command makes. */
  made: string | undefined,
  body: (context: CallContext) => Promise<Report>,
): Promise<void> {
  const controller = new AbortController();
  const reporter = createStreamReporter({
    stream: process.stderr,
    level: options.quiet ? "quiet" : options.verbose ? "verbose" : "normal",
    showProgress: options.progress ?? !isSet(environment().HF_HUB_DISABLE_PROGRESS_BARS),
    signal: controller.signal,
    variables: environment(),
  });
  let slowStop: NodeJS.Timeout | undefined;
  let stopped: { readonly signal: NodeJS.Signals; readonly at: number } | undefined;
  const stop = (signal: NodeJS.Signals) => {
    if (stopped !== undefined) return stopAtOnce(signal, performance.now() - stopped.at);
    stopped = { signal, at: performance.now() };
    // The bar goes away now, cursor and all: a second signal leaves no time for it.
    reporter.progressDone();
    controller.abort();
    slowStop = setTimeout(() => {
      reporter.note(
        "Stopping as soon as the reads and writes under way are done. Press Ctrl-C again to stop at once.",
      );
    }, SLOW_STOP_MS);
  };
  const stopAtOnce = (signal: NodeJS.Signals, afterMs: number) => {
    if (afterMs < ECHO_MS) return;
    ignoreSignals();
    writeSync(process.stderr.fd, `${describeLeftover(made)}\n`);
    // Nobody listens any more: the default handler ends the process.
    process.kill(process.pid, signal);
  };
  const ignoreSignals = () => {
    for (const signal of STOP_SIGNALS) process.removeListener(signal, stop);
  };
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  try {
    const report = await body({ signal: controller.signal, reporter });
    printReport(report, options);
    process.exitCode = report.exitCode ?? EXIT.done;
  } catch (error) {
    failWith(error, options);
    if (stopped?.signal === "SIGTERM" && isApplyDeltaError(error, "interrupted"))
      process.exitCode = EXIT.terminated;
  } finally {
    clearTimeout(slowStop);
    ignoreSignals();
  }
}
