import type { Reporter } from "../progress.js";
import { HubAnswer } from "./answers.js";
import { connectToHub, type HubConnection } from "./connection.js";
import type { HubSettings } from "./hub-settings.js";
import { createRetrier, type Retrier } from "./retry.js";
import { readToken } from "./token.js";

/** All that a run needs to speak with the Hub, from its first question until its connections are closed. */
export interface HubSession {
  readonly settings: HubSettings;
  readonly hasToken: boolean;
  readonly connection: HubConnection;
  readonly retrier: Retrier;
  readonly reporter: Reporter;
  /** Ends every request and every wait. */
  readonly stop: AbortController;
  /** Ends all connections. May be called again. */
  close(): Promise<void>;
}

export interface SessionOptions {
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
  /** How long an answer may take to begin, once the request is sent; default: as long as any silence. */
  readonly answerMs?: number;
}

/** A user who sees nothing move for so long wants to know why. */
const LONG_WAIT_MS = 5_000;

/** Asks nothing of the network yet. Errors: `bad-usage`, `bad-token`. */
export function openSession(settings: HubSettings, options: SessionOptions): HubSession {
  const { reporter, signal } = options;
  const stop = new AbortController();
  const abort = () => stop.abort();
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const token = readToken(settings);
  const connection = connectToHub(settings, token, { ...options, signal: stop.signal });
  const onWait = (error: unknown, delayMs: number) => {
    const say = delayMs >= LONG_WAIT_MS ? reporter.note : reporter.detail;
    say(describeWait(error, delayMs));
  };
  let closing: Promise<void> | undefined;
  return {
    settings,
    hasToken: token !== null,
    connection,
    retrier: createRetrier(settings.transfer, { signal: stop.signal, onWait }),
    reporter,
    stop,
    close() {
      signal?.removeEventListener("abort", abort);
      stop.abort();
      closing ??= connection.close();
      return closing;
    },
  };
}

function describeWait(error: unknown, delayMs: number): string {
  const what = error instanceof HubAnswer ? error.message : "the connection failed";
  return `${what}; next attempt in ${(delayMs / 1000).toFixed(1)} s.`;
}
