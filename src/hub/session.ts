/**
 * All that a run needs to speak with the Hub. The one place that opens connections: they go through the proxies of the
 * environment, and give up on silence.
 */
import { pipeline, Readable } from "node:stream";
import { createBrotliDecompress, createUnzip } from "node:zlib";
import { Agent, type Dispatcher, ProxyAgent } from "undici";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { readSmallText } from "../files/small-file.js";
import type { Reporter } from "../progress.js";
import { HubAnswer } from "./answers.js";
import { trustedCertificates } from "./certificates.js";
import { proxyFor } from "./proxy.js";
import {
  type Answer,
  createApiFetch,
  createAsk,
  createBoundedFetch,
  type LocatedAnswer,
  type Send,
} from "./requests.js";
import { createRetrier } from "./retry.js";
import { checkEndpoint, type HubSettings } from "./settings.js";

export type HubSession = Readonly<ReturnType<typeof openSession>>;

/**
 * Asks nothing of the network yet. `answerMs` is how long an answer may take to begin, once the request is sent.
 * Errors: `bad-usage` for a malformed endpoint, `bad-token`.
 */
export function openSession(
  settings: HubSettings,
  reporter: Reporter,
  signal?: AbortSignal,
  answerMs = settings.transfer.answerMs ?? settings.transfer.stallMs,
) {
  const { endpoint, transfer } = settings;
  checkEndpoint(endpoint);
  const token = readToken(settings);
  const stop = new AbortController();
  const abort = () => stop.abort();
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const { send, close } = connect(settings, answerMs);
  const { ask, locate } = createAsk(send, endpoint, token, stop.signal);
  let closing: Promise<void> | undefined;
  const latency: { leastMs: number | null } = { leastMs: null };
  return {
    settings,
    /** The shortest time in which the content server began to answer; null before it did. */
    latency,
    hasToken: token !== null,
    /** Any status is an answer; the body streams. */
    ask,
    locate,
    /** For small answers; anything but success is thrown. */
    fetchApi: createApiFetch(ask, transfer.stallMs, token),
    /** For a library that reads the answers itself. */
    fetchBounded: createBoundedFetch(ask, transfer.stallMs),
    /** The error for an answer that isn't a success, without the token. */
    answerOf: (answer: LocatedAnswer) => HubAnswer.of(answer, token),
    retrier: createRetrier(transfer, new URL(endpoint).host, stop.signal, reporter),
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

function connect({ transfer: { stallMs }, proxy, certificates }: HubSettings, answerMs: number) {
  const dispatchers = new Map<string, Dispatcher>();
  let trusted: ReturnType<typeof trustedCertificates> | undefined;
  const optionsFor = (protocol: string) => {
    if (protocol === "https:") trusted ??= trustedCertificates(certificates);
    const tls = trusted ? { secureContext: trusted } : {};
    const connect = { timeout: stallMs, ...tls };
    return { headersTimeout: answerMs, bodyTimeout: stallMs, connect, requestTls: tls, proxyTls: tls };
  };
  const dispatcherFor = (url: URL) => {
    const uri = proxyFor(url, proxy) ?? "";
    const key = `${url.protocol} ${uri}`;
    const found = dispatchers.get(key);
    if (found !== undefined) return found;
    const { requestTls, proxyTls, ...patience } = optionsFor(url.protocol);
    // Many proxies tunnel to port 443 only, and ask for plain HTTP themselves.
    const proxied = { uri, proxyTunnel: false, ...patience, requestTls, proxyTls };
    const dispatcher = uri === "" ? new Agent(patience) : new ProxyAgent(proxied);
    dispatchers.set(key, dispatcher);
    return dispatcher;
  };
  const send: Send = async (url, { method = "GET", headers, body, signal }) => {
    // Not by fetch: it copies every byte twice more, and keeps a file that is sent in case of a redirect.
    const isFile = body instanceof Blob;
    const request: Dispatcher.RequestOptions = {
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: method as Dispatcher.HttpMethod,
      headers: { ...Object.fromEntries(headers), ...(isFile ? { "content-length": `${body.size}` } : {}) },
      body: isFile ? Readable.from(body.stream()) : ((body ?? null) as string | null),
      signal: signal ?? null,
    };
    return toAnswer(await (dispatcherFor(url).request(request) as Promise<Dispatcher.ResponseData>));
  };
  const close = async () => {
    await Promise.all([...dispatchers.values()].map((dispatcher) => dispatcher.destroy()));
  };
  return { send, close };
}

function toAnswer({ statusCode: status, headers: given, body }: Dispatcher.ResponseData): Answer {
  const headers = new Headers();
  for (const [name, value] of Object.entries(given)) {
    for (const each of [value ?? []].flat()) headers.append(name, each);
  }
  return { status, headers, body: decoded(body, headers.get("content-encoding")), end: () => body.dump() };
}

/** Whoever compresses though nobody asked: some proxies. */
function decoded(body: Readable, encoding: string | null): AsyncIterable<Uint8Array> {
  if (encoding === null || encoding === "identity") return body;
  const decoder = encoding === "br" ? createBrotliDecompress() : createUnzip();
  return pipeline(body, decoder, () => {});
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
