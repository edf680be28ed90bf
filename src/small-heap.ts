/** V8 lets its heaps grow by tens of megabytes before it collects. The flags are the process's, so only the command line sets them. */
import { setFlagsFromString } from "node:v8";

/** What a run makes there it drops at once. */
const SMALL_HEAP = ["--semi-space-growth-factor=1", "--optimize-for-size"];

let isSmall = false;

export function keepHeapSmall(): void {
  for (const flag of SMALL_HEAP) setFlagsFromString(flag);
  isSmall = true;
}

/**
 * Every packet is a buffer of its own: in a heap that is kept smallest, V8 marks all of it for each 25 MB that arrive,
 * for half of a download's processor time.
 */
export async function withRoomForPackets<T>(action: () => Promise<T>): Promise<T> {
  if (!isSmall) return action();
  setFlagsFromString("--no-optimize-for-size");
  try {
    return await action();
  } finally {
    setFlagsFromString("--optimize-for-size");
  }
}
