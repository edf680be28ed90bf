/**
 * All that a run needs to speak with the Hub. The one place that opens connections: they go through the proxies of the
 * environment, and give up on silence.
 */
import { Readable } from "node:stream";
import { Agent, type Dispatcher, ProxyAgent, request, fetch as undiciFetch } from "undici";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { readSmallText } from "../files/small-file.js";
import type { Reporter } from "../progress.js";
import { HubAnswer } from "./answers.js";
import { checkEndpoint, type HubSettings } from "./hub-settings.js";
import { proxyFor } from "./proxy.js";
import { createApiFetch, createBoundedFetch, createFetch, type Send } from "./requests.js";
import { createRetrier } from "./retry.js";

export type HubSession = Readonly<ReturnType<typeof openSession>>;

/** A user who sees nothing move for so long wants to know why. */
const LONG_WAIT_MS = 5_000;

/**
 * Asks nothing of the network yet. `answerMs` is how long an answer may take to begin, once the request is sent.
 * Errors: `bad-usage` for a malformed endpoint, `bad-token`.
 */
export function openSession(
  settings: HubSettings,
  reporter: Reporter,
  signal?: AbortSignal,
  answerMs = settings.transfer.stallMs,
) {
  const { endpoint, transfer } = settings;
  checkEndpoint(endpoint);
  const token = readToken(settings);
  const stop = new AbortController();
  const abort = () => stop.abort();
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const { send, close } = connect(settings, answerMs);
  const fetchAny = createFetch(send, endpoint, token, stop.signal);
  const onWait = (error: unknown, delayMs: number) => {
    const say = delayMs >= LONG_WAIT_MS ? reporter.note : reporter.detail;
    const what = error instanceof HubAnswer ? error.message : "the connection failed";
    say(`${what}; next attempt in ${(delayMs / 1000).toFixed(1)} s.`);
  };
  let closing: Promise<void> | undefined;
  return {
    settings,
    hasToken: token !== null,
    /** Any status is an answer; the body streams. */
    fetchAny,
    /** For small answers; anything but success is thrown. */
    fetchApi: createApiFetch(fetchAny, transfer.stallMs, token),
    /** For a library that reads the answers itself. */
    fetchBounded: createBoundedFetch(fetchAny, transfer.stallMs),
    /** The error for an answer that isn't a success, without the token. */
    answerOf: (answer: Response) => HubAnswer.of(answer, token),
    retrier: createRetrier(transfer, stop.signal, onWait),
    reporter,
    /** Ends every request and every wait. */
    stop,
    /** Ends all connections. May be called again. */
    close(): Promise<void> {
      signal?.removeEventListener("abort", abort);
      stop.abort();
      closing ??= close();
      return closing;
    },
  };
}

function connect({ transfer: { stallMs }, proxy }: HubSettings, answerMs: number) {
  const dispatchers = new Map<string, Dispatcher>();
  const patience = { headersTimeout: answerMs, bodyTimeout: stallMs, connect: { timeout: stallMs } };
  const dispatcherFor = (url: URL) => {
    const uri = proxyFor(url, proxy) ?? "";
    const found = dispatchers.get(uri);
    const dispatcher = found ?? (uri === "" ? new Agent(patience) : new ProxyAgent({ uri, ...patience }));
    dispatchers.set(uri, dispatcher);
    return dispatcher;
  };
  // Node's own fetch and undici's have the same shape, and different types.
  const send = ((url, init) =>
    init.body instanceof Blob
      ? sendBlob(url, init, init.body, dispatcherFor(url))
      : undiciFetch(url, { ...(init as object), dispatcher: dispatcherFor(url) })) as Send;
  const close = async () => {
    await Promise.all([...dispatchers.values()].map((dispatcher) => dispatcher.destroy()));
  };
  return { send, close };
}

/**
 * Sends a file and gives the head of the answer. Not by fetch: that keeps a copy of all it has sent, in case of a
 * redirect, and so as much memory as the file is long.
 */
async function sendBlob(
  url: URL,
  { method = "GET", headers: given, signal }: RequestInit,
  blob: Blob,
  dispatcher: Dispatcher,
): Promise<Response> {
  const headers = { ...Object.fromEntries(new Headers(given)), "content-length": String(blob.size) };
  const body = Readable.from(blob.stream());
  const options = { method: method as Dispatcher.HttpMethod, headers, body, dispatcher };
  const answer = await request(url, signal ? { ...options, signal } : options);
  await answer.body.dump();
  const head = new Headers();
  for (const [name, value] of Object.entries(answer.headers)) {
    for (const each of [value ?? []].flat()) head.append(name, each);
  }
  return new Response(null, { status: answer.statusCode, headers: head });
}

/** Tokens have some 40 characters; stops a file that would fill the memory. */
const MAX_TOKEN_BYTES = 64_000;

/** The settings' token, or that of the file where Python's `hf auth login` stores it. No message holds any part of it. */
function readToken({ token, tokenFile }: HubSettings): string | null {
  const text = (token ?? (tokenFile === null ? "" : readTokenFile(tokenFile))).trim();
  if (text === "") return null;
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw badToken(token === null ? tokenFile : null);
}

function readTokenFile(path: string): string {
  try {
    return readSmallText(path, MAX_TOKEN_BYTES, () => badToken(path)) ?? "";
  } catch (error) {
    if (!isApplyDeltaError(error) || error.code === "bad-token") throw error;
    return ""; // As in Python, nobody is logged in.
  }
}

function badToken(file: string | null): ApplyDeltaError {
  return new ApplyDeltaError("bad-token", "The token contains invalid characters.", {
    ...(file === null ? {} : { file }),
    hint: "Set HF_TOKEN to the token alone, without quotes or spaces in it.",
  });
}
