import { setTimeout as sleep } from "node:timers/promises";
import { throwIfAborted } from "../interrupt.js";
import { HubAnswer, isTransient, networkTrouble } from "./answers.js";
import type { TransferSettings } from "./hub-settings.js";

export type Retrier = ReturnType<typeof createRetrier>;

/**
 * Tries again what fails for a while. A pause that the server asks of one request holds for all. `onWait` is told of
 * every wait.
 */
export function createRetrier(
  { attempts, firstDelayMs, longestDelayMs }: TransferSettings,
  signal: AbortSignal,
  onWait: (error: unknown, delayMs: number) => void,
) {
  let pauseUntil = 0;
  let hasAnswered = false;
  const wait = async (delayMs: number) => {
    throwIfAborted(signal);
    try {
      await sleep(delayMs, undefined, { signal });
    } catch {
      throwIfAborted(signal);
    }
  };
  return {
    /** Waits as long as the server asked any request to. Errors: `interrupted`. */
    async ready(): Promise<void> {
      throwIfAborted(signal);
      const left = pauseUntil - Date.now();
      if (left > 0) await wait(left);
    },
    /** Something arrived, so the Hub can be reached. */
    succeeded(): void {
      hasAnswered = true;
    },
    /** Waits after a failure, the `count`th in a row; throws it where waiting is pointless or was long enough. */
    async afterFailure(error: unknown, count: number): Promise<void> {
      throwIfAborted(signal);
      // Where nothing ever answered, waiting won't bring the network.
      const most = networkTrouble(error) === "unreachable" && !hasAnswered ? 2 : attempts;
      if (!isTransient(error) || count >= most) throw error;
      const asked = error instanceof HubAnswer ? error.retryAfterMs : null;
      if (asked !== null && asked > longestDelayMs) throw error;
      // Spread, so that all connections don't come back at once.
      const backoff = Math.min(longestDelayMs, firstDelayMs * 2 ** (count - 1)) * (0.75 + Math.random() / 2);
      const delayMs = asked ?? backoff;
      if (asked !== null) pauseUntil = Math.max(pauseUntil, Date.now() + asked);
      onWait(error, delayMs);
      await wait(delayMs);
    },
  };
}

/** Does `action` until it succeeds, or fails for good. */
export async function withRetries<T>(retrier: Retrier, action: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    await retrier.ready();
    try {
      const result = await action();
      retrier.succeeded();
      return result;
    } catch (error) {
      await retrier.afterFailure(error, failures);
    }
  }
}
