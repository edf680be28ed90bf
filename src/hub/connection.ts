/** The one place that opens connections. They go through the proxies of the environment, and give up on silence. */
import { Readable } from "node:stream";
import { Agent, type Dispatcher, ProxyAgent, request, fetch as undiciFetch } from "undici";
import { HubAnswer } from "./answers.js";
import { checkEndpoint, type HubSettings } from "./hub-settings.js";
import { proxyFor } from "./proxy.js";
import { createApiFetch, createBoundedFetch, createFetch, type Fetch, type Send } from "./requests.js";

export interface HubConnection {
  /** Any status is an answer; the body streams. */
  readonly fetchAny: Fetch;
  /** For small answers; anything but success is thrown. */
  readonly fetchApi: Fetch;
  /** For a library that reads the answers itself. */
  readonly fetchBounded: Fetch;
  /** The error for an answer that isn't a success, without the token. */
  answerOf(answer: Response): HubAnswer;
  /** Ends all connections. */
  close(): Promise<void>;
}

export interface ConnectionOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long an answer may take to begin, once the request is sent; default: as long as any silence. */
  readonly answerMs?: number;
}

/** `token` is the one in use, from wherever the settings say. Errors: `bad-usage` for a malformed endpoint. */
export function connectToHub(
  { endpoint, transfer, proxy }: HubSettings,
  token: string | null,
  { signal, answerMs = transfer.stallMs }: ConnectionOptions,
): HubConnection {
  checkEndpoint(endpoint);
  const dispatchers = new Map<string, Dispatcher>();
  const { stallMs } = transfer;
  const patience = { headersTimeout: answerMs, bodyTimeout: stallMs, connect: { timeout: stallMs } };
  const dispatcherFor = (url: URL) => {
    const uri = proxyFor(url, proxy) ?? "";
    const found = dispatchers.get(uri);
    const dispatcher = found ?? (uri === "" ? new Agent(patience) : new ProxyAgent({ uri, ...patience }));
    dispatchers.set(uri, dispatcher);
    return dispatcher;
  };
  // Node's own fetch and undici's have the same shape, and different types.
  const send = ((url: URL, init: RequestInit) =>
    init.body instanceof Blob
      ? sendBlob(url, init, init.body, dispatcherFor(url))
      : undiciFetch(url, { ...(init as object), dispatcher: dispatcherFor(url) })) as Send;
  const fetchAny = createFetch(send, { endpoint, token, signal });
  return {
    fetchAny,
    fetchApi: createApiFetch(fetchAny, stallMs, token),
    fetchBounded: createBoundedFetch(fetchAny, stallMs),
    answerOf: (answer) => HubAnswer.of(answer, { token }),
    async close() {
      await Promise.all([...dispatchers.values()].map((dispatcher) => dispatcher.destroy()));
    },
  };
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
