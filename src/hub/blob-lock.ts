/**
 * Keeps two runs from writing to one partial blob. Python has other locks and other files (partial-blob.ts).
 *
 * Machines and containers that share a cache can't see each other's processes. So a run touches the lock it holds now
 * and then, and a lock that nobody touches is free.
 */
import { statSync, utimesSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isApplyDeltaError } from "../errors.js";
import { type Lock, takeLock } from "../files/lock.js";
import { throwIfAborted } from "../interrupt.js";
import { makeFolder, onCache } from "./cache.js";

export interface BlobLock {
  release(): void;
}

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once if another run holds it. */
  readonly onWait?: () => void;
  /** After so long without a touch a lock of another machine is free. */
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
    throwIfAborted(signal);
    const lock = tryLock(path, isUntouched);
    if (lock !== null) return keepTouched(path, lock);
    if (isFirst) onWait?.();
    await sleep(LOOK_MS);
  }
}

/** Whether a file's time has stood still for so long, by this machine's clock: others may differ. */
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
      // Someone removed it by hand, so that another run may go on; nothing here depends on it.
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
