import { setFlagsFromString } from "node:v8";

/**
 * V8 lets its heaps grow by tens of megabytes before it collects; what a run makes there it drops at once. A heap that is
 * kept small is marked often, and marking it bit by bit, in threads beside the work, takes several times the processor
 * time of marking it in one go.
 */
const SMALL_HEAP = ["--semi-space-growth-factor=1", "--optimize-for-size", "--no-incremental-marking"];

/** The flags are the process's, so a library can't set them. */
export function keepHeapSmall(): void {
  for (const flag of SMALL_HEAP) setFlagsFromString(flag);
}
