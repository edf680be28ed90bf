/** In: an abort signal. Out: pauses in which it may be aborted, and which then end the work as `interrupted`. */
import { setImmediate } from "node:timers/promises";
import type { Pause } from "../checkpoint/pause.js";
import { throwIfAborted } from "./pool.js";

export function pauseFor(signal: AbortSignal | undefined): Pause {
  return async () => {
    // A turn of the event loop: before it nothing that came from outside is seen.
    await setImmediate();
    throwIfAborted(signal);
  };
}
