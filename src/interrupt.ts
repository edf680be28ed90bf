/**
 * Stopping: how Ctrl-C, a caller's signal or a thread's end is noticed and said. The main thread only sees a signal
 * between two turns of the event loop, so long steps take a `Pause` and await it now and then: reading headers takes no
 * time from a good disk and half a minute from a slow one.
 */
import { setImmediate } from "node:timers/promises";
import { ApplyDeltaError, isApplyDeltaError } from "./errors.js";

/** Resolves at once where the work is to go on; rejects with `interrupted` where it was stopped. */
export type Pause = () => Promise<void>;

/** For callers that can't be stopped. */
export const noPause: Pause = async () => {};

export function pauseFor(signal: AbortSignal | undefined): Pause {
  return async () => {
    await setImmediate();
    throwIfAborted(signal);
  };
}

/** The message of an interruption that doesn't know yet what it leaves behind. */
const NO_FOLDER = "Interrupted; no folder was made.";

/** Throws `interrupted` where the signal is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new ApplyDeltaError("interrupted", NO_FOLDER, {
    hint: "Run the same command again to start over.",
  });
}

/** Runs work that makes no target; an interruption of it says `outcome`: "the target was not verified to the end". */
export async function describeInterruption<T>(outcome: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (!isApplyDeltaError(error, "interrupted") || error.message !== NO_FOLDER) throw error;
    throw new ApplyDeltaError("interrupted", `Interrupted; ${outcome}.`, {
      hint: "Run the same command again to start over.",
    });
  }
}
