/**
 * In: settings and a token. Out: fetches that go through the proxies of the environment and give up on silence. The one
 * place that opens connections.
 * Guards: what hub-requests.ts guards.
 */
import { Agent, type Dispatcher, ProxyAgent, fetch as undiciFetch } from "undici";
import { createApiFetch, createFetch, type Fetch, type Send } from "./hub-requests.js";
import type { HubSettings } from "./hub-settings.js";
import { proxyFor } from "./proxy.js";

export interface HubConnection {
  /** Any status is an answer; the body streams. */
  readonly fetchAny: Fetch;
  /** For small answers; anything but success is thrown. */
  readonly fetchApi: Fetch;
  /** Ends all connections. */
  close(): Promise<void>;
}

export interface ConnectionOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long an answer may take to begin, once the request is sent; default: as long as any silence. */
  readonly answerMs?: number;
}

/** `token` is the one in use, from wherever the settings say. */
export function connectToHub(
  { endpoint, transfer, proxy }: HubSettings,
  token: string | null,
  { signal, answerMs = transfer.stallMs }: ConnectionOptions,
): HubConnection {
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
  const send = ((url: URL, init: object) =>
    undiciFetch(url, { ...init, dispatcher: dispatcherFor(url) })) as unknown as Send;
  const fetchAny = createFetch(send, { endpoint, token, signal });
  return {
    fetchAny,
    fetchApi: createApiFetch(fetchAny),
    async close() {
      await Promise.all([...dispatchers.values()].map((dispatcher) => dispatcher.destroy()));
    },
  };
}
