/**
 * In: the path of a blob's lock. Out: the lock, once no other run of this tool holds it.
 * Guards: two runs never write to one partial blob. Python has locks of its own and files of its own
 * (partial-blob.ts), so there is nothing to share with it.
 */
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isApplyDeltaError } from "../errors.js";
import { type Lock, takeLock } from "../output/lock.js";
import { makeFolder, onCache } from "./hub-cache.js";
import { throwIfStopped } from "./retry.js";

export interface BlobLock {
  release(): void;
}

/** How often a waiting run looks. */
const LOOK_MS = 500;

/** Waits for the lock. `onWait` is called once if another run holds it. Errors: `interrupted`, `cache-unwritable`. */
export async function lockBlob(
  path: string,
  { signal, onWait }: { readonly signal?: AbortSignal | undefined; readonly onWait?: () => void } = {},
): Promise<BlobLock> {
  makeFolder(dirname(path));
  for (let isFirst = true; ; isFirst = false) {
    throwIfStopped(signal);
    const lock = tryLock(path);
    if (lock !== null) return { release: () => lock.release(path) };
    if (isFirst) onWait?.();
    await sleep(LOOK_MS);
  }
}

/** Null where another run holds it. */
function tryLock(path: string): Lock | null {
  try {
    return takeLock(path);
  } catch (error) {
    if (isApplyDeltaError(error, "target-exists")) return null;
    return onCache(path, () => {
      throw isApplyDeltaError(error) ? error.details.cause : error;
    });
  }
}
