import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";

/**
 * V8 lets its heaps grow by tens of megabytes before it collects; what a run makes there it drops at once. A heap that is
 * kept small is marked often, and marking it bit by bit, in threads beside the work, takes several times the processor
 * time of marking it in one go.
 */
const SMALL_HEAP = ["--semi-space-growth-factor=1", "--optimize-for-size", "--no-incremental-marking"];
const ANY_HEAP = ["--no-optimize-for-size", "--incremental-marking"];

/** The longest that a timer waits. */
const FOREVER_MS = 2 ** 31 - 1;

/**
 * Runs a command with a small heap. The flags are the process's, so a library can't set them.
 *
 * Node 20 hangs if its event loop runs dry while V8 compiles in another thread: it waits for the compiler, which may
 * wait for this thread to collect garbage, as a heap that is kept small demands (nodejs/node#54918). So a timer keeps
 * the loop going until the command is done; then the heap may grow, and a compiler that waits gets its turn.
 */
export async function withSmallHeap(run: () => Promise<void>): Promise<void> {
  for (const flag of SMALL_HEAP) setFlagsFromString(flag);
  const alive = setInterval(() => {}, FOREVER_MS);
  try {
    await run();
  } finally {
    for (const flag of ANY_HEAP) setFlagsFromString(flag);
    await setImmediate();
    clearInterval(alive);
  }
}
