/**
 * In: the path of a blob's lock. Out: the lock, once no other run of this tool holds it.
 * Guards: two runs never write to one partial blob. A file that names its process; a process that was killed holds
 * nothing. Python has locks of its own and files of its own (partial-blob.ts), so there is nothing to share.
 */
import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf } from "../errors.js";
import { isRunning } from "../output/staging.js";
import { makeFolder, onCache } from "./hub-cache.js";
import { throwIfStopped } from "./retry.js";

export interface BlobLock {
  release(): void;
}

/** How often a waiting run looks, and a holding one shows that it lives. */
const BEAT_MS = 500;

/** A lock that nobody touched for so long is nobody's; of a run on another machine nothing else is known. */
const SILENT_MS = 60_000;

/** Waits for the lock. `onWait` is called once if another run holds it. Errors: `interrupted`, `cache-unwritable`. */
export async function lockBlob(
  path: string,
  { signal, onWait }: { readonly signal?: AbortSignal | undefined; readonly onWait?: () => void } = {},
): Promise<BlobLock> {
  makeFolder(dirname(path));
  for (let isFirst = true; ; isFirst = false) {
    throwIfStopped(signal);
    if (tryLock(path) || (removeIfDead(path) && tryLock(path))) break;
    if (isFirst) onWait?.();
    await sleep(BEAT_MS);
  }
  const beat = setInterval(() => touch(path), BEAT_MS * 20);
  beat.unref();
  return {
    release() {
      clearInterval(beat);
      rmSync(path, { force: true });
    },
  };
}

function tryLock(path: string): boolean {
  return onCache(path, () => {
    try {
      writeFileSync(path, JSON.stringify([hostname(), process.pid]), { flag: "wx" });
      return true;
    } catch (error) {
      if (errnoOf(error) === "EEXIST") return false;
      throw error;
    }
  });
}

function touch(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // Somebody removed the lock; the worst is that a file is fetched twice.
  }
}

/** Whether the lock was held by a process that is no more; then it is gone. */
function removeIfDead(path: string): boolean {
  let holder: string;
  let ageMs: number;
  try {
    holder = readFileSync(path, "utf8");
    ageMs = Date.now() - statSync(path).mtimeMs;
  } catch {
    return true; // Released in this moment.
  }
  const [, host, pid] = /^\["(.*)",(\d+)\]$/.exec(holder) ?? [];
  // A process's number may be another's by now; one that holds the lock touches it.
  if (ageMs < SILENT_MS && (host !== hostname() || isRunning(Number(pid)))) return false;
  rmSync(path, { force: true });
  return true;
}
