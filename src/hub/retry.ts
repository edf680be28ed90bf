/** Patience: what fails for a while is tried again, as long as it is worth waiting, and the user is told what for. */
import { setMaxListeners } from "node:events";
import { setTimeout } from "node:timers/promises";
import { throwIfAborted } from "../interrupt.js";
import type { Reporter } from "../progress.js";
import { formatSeconds } from "../units.js";
import { HubAnswer, hostOf, isTransient, networkCodeOf, networkTrouble } from "./answers.js";
import type { TransferSettings } from "./settings.js";

export type Retrier = ReturnType<typeof createRetrier>;

export type Attempts = ReturnType<Retrier["begin"]>;

/** The time, and waiting; tests have their own. */
export interface Clock {
  now(): number;
  /** Ends early, by a rejection, where the signal is aborted. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
}

const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) => setTimeout(milliseconds, undefined, { signal }),
};

/** A user who sees nothing move for so long wants to know why. */
const LONG_WAIT_MS = 5_000;

/** Several connections wait for the same thing: one line is enough for so long. */
const QUIET_MS = 30_000;

/** Where nothing ever answered, waiting won't bring the network. */
const MOST_UNREACHABLE = 2;

/** A server that has never answered may be blocked, so it gets this share of the patience once another has answered. */
const SHARE_OF_UNKNOWN = 0.1;

/** Tells the user what a session waits for, and when it was answered. */
function createWaitLog(
  { patienceMs }: TransferSettings,
  home: string,
  reporter: Pick<Reporter, "note" | "detail">,
  clock: Clock,
) {
  /** Of the last line; null where all is well. */
  let saidAt: number | null = null;
  return {
    waiting(error: unknown, delayMs: number): void {
      const now = clock.now();
      const isLong = delayMs >= LONG_WAIT_MS && (saidAt === null || now - saidAt >= QUIET_MS);
      if (isLong) saidAt = now;
      const most = formatSeconds(patienceMs / 1000);
      const line = `${describe(error, home)}; next attempt in ${formatSeconds(delayMs / 1000)}`;
      (isLong ? reporter.note : reporter.detail)(`${line}, giving up after ${most} without an answer.`);
    },
    answered(host: string): void {
      if (saidAt === null) return;
      saidAt = null;
      reporter.note(`${host} answers again.`);
    },
  };
}

/** All requests of a session share what is known of the servers. `home`: the Hub's host. */
export function createRetrier(
  transfer: TransferSettings,
  home: string,
  signal: AbortSignal,
  reporter: Pick<Reporter, "note" | "detail">,
  clock = systemClock,
) {
  const { attempts, firstDelayMs, longestDelayMs, patienceMs } = transfer;
  // Each request that waits listens to it meanwhile; there may be a hundred, and Node would warn of a leak at eleven.
  setMaxListeners(0, signal);
  const answered = new Set<string>();
  /** Until when a server wants no requests. */
  const pauses = new Map<string, number>();
  const log = createWaitLog(transfer, home, reporter, clock);
  const patienceWith = (host: string) =>
    answered.has(host) ? patienceMs : answered.size > 0 ? patienceMs * SHARE_OF_UNKNOWN : 0;

  return {
    /** Whether something of the Hub's ever arrived. */
    hasAnswered: () => answered.size > 0,
    /** For a request that may have to be made several times. */
    begin() {
      let failures = 0;
      let failingSince = 0;
      return {
        /** Waits as long as the server asked any request to. Errors: `interrupted`. */
        async ready(host = home): Promise<void> {
          throwIfAborted(signal);
          const left = (pauses.get(host) ?? 0) - clock.now();
          if (left > 0) await wait(left, clock, signal);
        },
        /** Something arrived. */
        succeeded(host = home): void {
          answered.add(host);
          failures = 0;
          log.answered(host);
        },
        /** Waits after a failure; throws it where waiting is pointless or was long enough. */
        async failed(error: unknown): Promise<void> {
          throwIfAborted(signal);
          const host = hostOf(error) ?? home;
          const now = clock.now();
          if (failures++ === 0) failingSince = now;
          const isNowhere = networkTrouble(error) === "unreachable" && answered.size === 0;
          const isOver = failures >= attempts && now - failingSince >= patienceWith(host);
          if (!isTransient(error) || isOver || (isNowhere && failures >= MOST_UNREACHABLE)) throw error;
          const asked = error instanceof HubAnswer ? error.retryAfterMs : null;
          if (asked !== null && asked > Math.max(patienceMs, longestDelayMs)) throw error;
          // Spread, so that all connections don't come back at once.
          const backoff = Math.min(longestDelayMs, firstDelayMs * 2 ** (failures - 1));
          const delayMs = asked ?? backoff * (0.75 + Math.random() / 2);
          if (asked !== null) pauses.set(host, Math.max(pauses.get(host) ?? 0, now + asked));
          log.waiting(error, delayMs);
          await wait(delayMs, clock, signal);
        },
      };
    },
  };
}

/** Errors: `interrupted`. */
async function wait(delayMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  try {
    await clock.sleep(delayMs, signal);
  } catch {
    throwIfAborted(signal);
  }
}

function describe(error: unknown, home: string): string {
  if (error instanceof HubAnswer)
    return error.status === 429 ? `${error.host} asks to wait: too many requests` : error.message;
  return `the connection to ${hostOf(error) ?? home} failed (${networkCodeOf(error) ?? "no reason given"})`;
}

/** Does `action` until it succeeds, or fails for good. */
export async function withRetries<T>(retrier: Retrier, action: () => Promise<T>): Promise<T> {
  const attempts = retrier.begin();
  for (;;) {
    await attempts.ready();
    try {
      const result = await action();
      attempts.succeeded();
      return result;
    } catch (error) {
      await attempts.failed(error);
    }
  }
}
