/**
 * In: what may fail for a while. Out: its result, or the failure that didn't pass.
 * Guards: waits are bounded in number and in length; a server that asks for a pause gets it from all requests.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Interruption } from "../interrupt.js";
import { HubAnswer, isUnreachable, mayPass } from "./answers.js";
import type { TransferSettings } from "./hub-settings.js";

export interface Retrier {
  /** Waits as long as the server asked any request to. Errors: `interrupted`. */
  ready(): Promise<void>;
  /** Something arrived: the Hub can be reached. */
  succeeded(): void;
  /**
   * Waits after a failure, the `count`th in a row; throws the failure where waiting has no point or was long enough.
   */
  afterFailure(error: unknown, count: number): Promise<void>;
}

export interface RetryOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told of every wait, for whoever wants details. */
  readonly onWait?: (error: unknown, delayMs: number) => void;
}

export function createRetrier(
  { attempts, firstDelayMs, longestDelayMs }: TransferSettings,
  { signal, onWait }: RetryOptions = {},
): Retrier {
  let pauseUntil = 0;
  let hasAnswered = false;
  const wait = async (delayMs: number) => {
    throwIfStopped(signal);
    try {
      await sleep(delayMs, undefined, signal === undefined ? {} : { signal });
    } catch {
      throwIfStopped(signal);
    }
  };
  return {
    async ready() {
      throwIfStopped(signal);
      const left = pauseUntil - Date.now();
      if (left > 0) await wait(left);
    },
    succeeded() {
      hasAnswered = true;
    },
    async afterFailure(error, count) {
      throwIfStopped(signal);
      // Where nothing ever answered, waiting won't bring the network.
      const most = isUnreachable(error) && !hasAnswered ? 2 : attempts;
      if (!mayPass(error) || count >= most) throw error;
      const asked = error instanceof HubAnswer ? error.retryAfterMs : null;
      if (asked !== null && asked > longestDelayMs) throw error;
      // Spread, so that all connections don't come back at once.
      const backoff = Math.min(longestDelayMs, firstDelayMs * 2 ** (count - 1)) * (0.75 + Math.random() / 2);
      const delayMs = asked ?? backoff;
      if (asked !== null) pauseUntil = Math.max(pauseUntil, Date.now() + asked);
      onWait?.(error, delayMs);
      await wait(delayMs);
    },
  };
}

/** Does `action` until it succeeds or its failure doesn't pass. */
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

/** Throws `interrupted` where the signal is aborted. */
export function throwIfStopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new Interruption(
    "what was downloaded is kept",
    "Run the same command again: it goes on where it stopped.",
  );
}

/** A wait as a detail for the user. */
export function describeWait(error: unknown, delayMs: number): string {
  const what = error instanceof HubAnswer ? error.message : "the connection failed";
  return `${what}; next attempt in ${(delayMs / 1000).toFixed(1)} s.`;
}
