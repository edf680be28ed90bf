/**
 * In: a program, and options as a caller gives them. Out: the program, run with options that are checked, and with the
 * caller's callbacks as its reporter.
 * Guards: what a callback throws, wherever it is called, stops the program and comes out of its promise; nothing of it
 * reaches the process. The caller's signal is left without a listener.
 */
import { checkOptions, type OptionRules } from "./check-options.js";
import { withoutMeans } from "./load-module.js";
import type { ProgressUpdate, Reporter } from "./progress.js";

/** How a call is stopped, and who is told what happens. What a callback throws ends the call, which rejects with it. */
export interface CallOptions {
  /** Ends the call, which then rejects with the code `interrupted` once everything is closed. */
  readonly signal?: AbortSignal;
  /** Called several times a second with how far it is: short for a `reporter` with `progress` alone. */
  readonly onProgress?: (update: ProgressUpdate) => void;
  /** Who is told what happens: any of the methods. Default: nobody. */
  readonly reporter?: Partial<Reporter>;
}

/** The options of a program, with a caller's callbacks in the place of its reporter. */
export type Callable<Options> = Omit<Options, keyof CallOptions> & CallOptions;

/** What a program is given besides its own options. */
interface Inner {
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
}

/** What was sent or arrived in vain is done again: until it is there, no less than before is done. */
function neverFalling(): (update: ProgressUpdate) => ProgressUpdate {
  const most = new Map<ProgressUpdate["activity"], number>();
  return (update) => {
    const bytesDone = Math.max(update.bytesDone, most.get(update.activity) ?? 0);
    most.set(update.activity, bytesDone);
    return { ...update, bytesDone };
  };
}

/** Runs the program. Errors: `bad-usage` where an option is none or makes no sense; the program's own. */
export async function runProgram<Options extends object, Result>(
  given: Callable<Options>,
  rules: OptionRules<Callable<Options>>,
  program: (options: Omit<Options, keyof CallOptions> & Inner) => Promise<Result>,
): Promise<Result> {
  checkOptions(given, rules);
  const { signal, onProgress, reporter, ...options } = given;
  const stop = new AbortController();
  const abort = () => stop.abort(signal?.reason);
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const rising = neverFalling();
  const thrown: unknown[] = [];
  /** A callback that can't throw: it may be called by a timer. Called no more once one threw. */
  const guarded =
    <Args extends unknown[]>(callback: (...args: Args) => void) =>
    (...args: Args): void => {
      if (thrown.length > 0) return;
      try {
        callback(...args);
      } catch (error) {
        thrown.push(error);
        stop.abort(error);
      }
    };
  const inner: Inner = {
    signal: stop.signal,
    reporter: {
      detail: guarded((text) => reporter?.detail?.(text)),
      note: guarded((text) => reporter?.note?.(text)),
      warn: guarded((text) => reporter?.warn?.(text)),
      progress: guarded((update) => {
        const risen = rising(update);
        reporter?.progress?.(risen);
        onProgress?.(risen);
      }),
      progressDone: guarded(() => reporter?.progressDone?.()),
    },
  };
  let result: Result | undefined;
  try {
    result = await program({ ...(options as Omit<Options, keyof CallOptions>), ...inner });
  } catch (error) {
    if (thrown.length === 0) throw withoutMeans(error);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
  if (thrown.length > 0) throw thrown[0];
  return result as Result;
}
