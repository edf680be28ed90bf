import type * as z from "zod";
import { type CallOptions, callOptions, parseOptions } from "./options.js";
import type { ProgressUpdate, Reporter } from "./progress.js";
import { explainSystemError } from "./system-errors.js";

/** The options of a call: those of its work, with the caller's callbacks in place of the work's reporter. */
export type Callable<Options> = Omit<Options, keyof CallOptions> & CallOptions;

/** What a call's work is given besides its own options. */
interface Inner {
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
}

/** A reporter that calls the caller's callbacks until one throws, which `onThrow` is told. */
function guardedReporter({ onProgress, reporter }: CallOptions, onThrow: (error: unknown) => void): Reporter {
  let hasThrown = false;
  const guarded =
    <Args extends unknown[]>(callback: (...args: Args) => unknown) =>
    (...args: Args): void => {
      if (hasThrown) return;
      const fail = (error: unknown) => {
        hasThrown = true;
        onThrow(error);
      };
      // Progress is reported by timers, where an exception would end the process, as a rejection would anywhere.
      try {
        Promise.resolve(callback(...args)).catch(fail);
      } catch (error) {
        fail(error);
      }
    };
  const most = new Map<ProgressUpdate["activity"], number>();
  return {
    detail: guarded((text) => reporter?.detail?.(text)),
    note: guarded((text) => reporter?.note?.(text)),
    warn: guarded((text) => reporter?.warn?.(text)),
    progress: guarded((update) => {
      // A transfer that failed is repeated: its progress stands still until it has caught up.
      const bytesDone = Math.max(update.bytesDone, most.get(update.activity) ?? 0);
      most.set(update.activity, bytesDone);
      const monotonic = { ...update, bytesDone };
      return Promise.all([reporter?.progress?.(monotonic), onProgress?.(monotonic)]);
    }),
    progressDone: guarded(() => reporter?.progressDone?.()),
  };
}

/**
 * Runs the work of a call with options that are checked and callbacks that can't harm it. Errors: `bad-usage` if an
 * option is unknown or breaks its rule; what a callback threw; the work's own.
 */
export async function runProgram<Rules extends z.ZodObject, Result>(
  given: z.input<Rules> & CallOptions,
  rules: Rules,
  work: (options: z.output<Rules> & Inner) => Promise<Result>,
): Promise<Result> {
  const parsed = parseOptions(rules.extend(callOptions.shape), given) as z.output<Rules> & CallOptions;
  const { signal, onProgress, reporter, ...options } = parsed;
  const stop = new AbortController();
  const abort = () => stop.abort(signal?.reason);
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const thrown: unknown[] = [];
  const inner: Inner = {
    signal: stop.signal,
    reporter: guardedReporter({ onProgress, reporter }, (error) => {
      thrown.push(error);
      stop.abort(error);
    }),
  };
  try {
    const result = await work({ ...(options as unknown as z.output<Rules>), ...inner });
    if (thrown.length === 0) return result;
  } catch (error) {
    if (thrown.length === 0) throw explainSystemError(error);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
  throw thrown[0];
}
