/**
 * In: the path of a blob's lock. Out: the lock, once no other run of this tool holds it.
 * Guards: two runs never write to one partial blob. Python has locks of its own and files of its own
 * (partial-blob.ts), so there is nothing to share with it.
 *
 * Caches are shared by machines and by containers, each with a name of its own, where the process of a lock can't be
 * seen. So whoever holds one touches it now and then, and one that nobody touches is nobody's.
 */
import { statSync, utimesSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isApplyDeltaError } from "../errors.js";
import { type Lock, takeLock } from "../files/lock.js";
import { makeFolder, onCache } from "./cache.js";
import { throwIfStopped } from "./retry.js";

export interface BlobLock {
  release(): void;
}

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once if another run holds it. */
  readonly onWait?: () => void;
  /** After so long without a touch a lock of another machine is nobody's. */
  readonly silentMs?: number;
}

/** How often a waiting run looks. */
const LOOK_MS = 500;
const TOUCH_MS = 10_000;
const SILENT_MS = 6 * TOUCH_MS;

/** Waits for the lock. Errors: `interrupted`, `cache-unwritable`. */
export async function lockBlob(
  path: string,
  { signal, onWait, silentMs = SILENT_MS }: LockOptions = {},
): Promise<BlobLock> {
  makeFolder(dirname(path));
  const isUntouched = watchTouches(path, silentMs);
  for (let isFirst = true; ; isFirst = false) {
    throwIfStopped(signal);
    const lock = tryLock(path, isUntouched);
    if (lock !== null) return keepTouched(path, lock);
    if (isFirst) onWait?.();
    await sleep(LOOK_MS);
  }
}

/** Whether a file's time has stood still for so long, by the clock of who asks: the machines' may differ. */
function watchTouches(path: string, silentMs: number): () => boolean {
  let seen = { mtimeMs: Number.NaN, at: 0 };
  return () => {
    const mtimeMs = onCache(path, () => statSync(path, { throwIfNoEntry: false }))?.mtimeMs ?? 0;
    if (mtimeMs !== seen.mtimeMs) seen = { mtimeMs, at: performance.now() };
    return performance.now() - seen.at > silentMs;
  };
}

function keepTouched(path: string, lock: Lock): BlobLock {
  const timer = setInterval(() => {
    try {
      const now = new Date();
      utimesSync(path, now, now);
    } catch {
      // Someone removed it by hand: who waits may go on, and nothing here depends on it.
    }
  }, TOUCH_MS).unref();
  return {
    release() {
      clearInterval(timer);
      lock.release(path);
    },
  };
}

/** Null where another run holds it. */
function tryLock(path: string, isAbandoned: () => boolean): Lock | null {
  try {
    return takeLock(path, isAbandoned);
  } catch (error) {
    if (isApplyDeltaError(error, "target-exists")) return null;
    return onCache(path, () => {
      throw isApplyDeltaError(error) ? error.details.cause : error;
    });
  }
}
