/**
 * Between two steps of the main thread: a moment in which Ctrl-C is seen. Reading headers and samples takes no time from
 * a good disk and half a minute from a slow one, and a thread that only reads sees no signal.
 */

/** Resolves at once where the work is to go on; rejects where it was interrupted. */
export type Pause = () => Promise<void>;

/** For callers that can't be interrupted. */
export const noPause: Pause = async () => {};
