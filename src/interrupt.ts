/**
 * How Ctrl-C or a caller's signal is noticed and reported. The main thread sees a signal only between two turns of the
 * event loop, so long steps await a `Pause` now and then: reading headers takes half a minute from a slow disk.
 */
import { setImmediate } from "node:timers/promises";
import { ApplyDeltaError, isApplyDeltaError } from "./errors.js";

/** Resolves at once, or rejects with `interrupted` if the work was stopped. */
export type Pause = () => Promise<void>;

/** For callers that can't be stopped. */
export const noPause: Pause = async () => {};

export function pauseFor(signal: AbortSignal | undefined): Pause {
  return async () => {
    await setImmediate();
    throwIfAborted(signal);
  };
}

/** The error of work that was stopped. */
export class Interruption extends ApplyDeltaError {
  /** `outcome`: what wasn't done, or is kept; null where only the caller knows. */
  constructor(
    readonly outcome: string | null,
    hint = "Run the same command again to start over.",
  ) {
    super("interrupted", `Interrupted; ${outcome ?? "the model is not complete"}.`, { hint });
  }
}

/** A hint where a download goes on from what has arrived. */
export const RESUMES = "Run the same command again: it resumes where it stopped.";

/** Throws `interrupted` where the signal is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new Interruption(null);
}

/** Runs work that makes no folder; an interruption of it says `outcome`: "the target was not verified to the end". */
export async function describeInterruption<T>(
  outcome: string,
  body: () => Promise<T>,
  hint?: string,
): Promise<T> {
  try {
    return await body();
  } catch (error) {
    // One that comes from a thread has lost its class.
    const isDescribed = error instanceof Interruption && error.outcome !== null;
    if (!isApplyDeltaError(error, "interrupted") || isDescribed) throw error;
    throw new Interruption(outcome, hint);
  }
}
