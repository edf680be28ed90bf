/**
 * Where requests may go, of the Hub's library and our own: the token goes to the endpoint's origin and nowhere else,
 * wherever a redirect leads; nothing but HTTP is spoken, and no redirect goes from HTTPS to it. And what an answer may
 * cost: a server that sends a byte now and then would keep a request alive for ever, one that never stops would fill
 * the memory.
 */
import { HubAnswer, ProtocolError } from "./answers.js";

export type Send = (url: URL, init: RequestInit) => Promise<Response>;
export type Fetch = typeof globalThis.fetch;

/** More than the Hub has in any path of ours (two); stops a circle. */
const MOST_REDIRECTS = 8;

/** A fetch that follows redirects by our rules. Any final status is an answer. */
export function createFetch(send: Send, endpoint: string, token: string | null, signal?: AbortSignal): Fetch {
  const home = new URL(endpoint).origin;
  return async (input, init = {}) => {
    // An address may come out of an answer: of the next page, of Xet's storage.
    let url = addressOf("a request", String(input instanceof Request ? input.url : input));
    const headers = new Headers(init.headers);
    headers.set("user-agent", "vicuna-apply-delta");
    // Compressed, ranges and lengths would be those of something else.
    headers.set("accept-encoding", "identity");
    const signals = [signal ?? [], init.signal ?? []].flat();
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      if (url.origin === home && token !== null && !headers.has("authorization")) {
        headers.set("authorization", `Bearer ${token}`);
      }
      const redirect = "manual";
      const answer = await send(url, { ...init, headers, redirect, signal: AbortSignal.any(signals) });
      const location = answer.headers.get("location");
      if (answer.status < 300 || answer.status > 399 || location === null) return answer;
      await answer.body?.cancel();
      const asked = `${url.protocol}//${url.host}`;
      const next = addressOf(`a redirect from ${asked}`, location, url);
      if (url.protocol === "https:" && next.protocol === "http:") {
        throw new ProtocolError(`a redirect from ${asked} to ${next.protocol}//${next.host}`);
      }
      // Whoever's credentials they are, they were meant for the origin that was asked.
      if (next.origin !== url.origin) headers.delete("authorization");
      url = next;
    }
    throw new ProtocolError(`more than ${MOST_REDIRECTS} redirects`);
  };
}

/** Any other scheme would read from this machine, or from nowhere. */
function addressOf(what: string, text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) throw new ProtocolError(`${what} to a malformed address`);
  const url = new URL(text, base);
  if (/^https?:$/.test(url.protocol)) return url;
  throw new ProtocolError(`${what} to ${url.protocol}//${url.host}`);
}

/** The file list of a repository is some 300 bytes a file; stops an answer that would fill the memory. */
const MOST_ANSWER_BYTES = 32_000_000;

/** An answer of the API takes a second; so many times the patience with silence is plenty for a slow line. */
const MOST_STALLS = 12;

/** The same for small answers: read at once, so that no connection stays open; anything but success is thrown. */
export function createApiFetch(fetchAny: Fetch, stallMs: number, token: string | null): Fetch {
  return async (input, init) => {
    const answer = await fetchAny(input, init);
    const bounds = { mostBytes: MOST_ANSWER_BYTES, mostMs: MOST_STALLS * stallMs };
    const text = await boundedAnswer(answer, stallMs, bounds).text();
    if (!answer.ok) throw HubAnswer.of(answer, token, text);
    const { status, headers } = answer;
    return new Response(status === 204 ? null : text, { status, headers });
  };
}

/** For answers that a library reads: bounded where it would hold them in memory, else with a least speed. */
export function createBoundedFetch(fetchAny: Fetch, stallMs: number): Fetch {
  return async (input, init) => {
    const answer = await fetchAny(input, init);
    const isHeld = !answer.ok || (answer.headers.get("content-type") ?? "").includes("json");
    return boundedAnswer(answer, stallMs, isHeld ? { mostBytes: MOST_ANSWER_BYTES } : {});
  };
}

interface Bounds {
  readonly mostBytes?: number;
  /** The longest time for the whole answer. */
  readonly mostMs?: number;
}

function boundedAnswer({ body, status, headers }: Response, stallMs: number, bounds: Bounds): Response {
  const bounded = body === null ? null : ReadableStream.from(boundedBody(body, stallMs, bounds));
  return new Response(bounded, { status, headers });
}

/** In each `stallMs`: a hundredth of what a modem of the nineties gave each of eight connections. */
const LEAST_BYTES = 1024;

/**
 * The bytes of an answer that must end. Errors: a `ProtocolError` for one that is too long, an error of the network
 * for one that is too slow.
 */
export async function* boundedBody(
  body: AsyncIterable<Uint8Array> | null,
  stallMs: number,
  { mostBytes = Number.POSITIVE_INFINITY, mostMs = Number.POSITIVE_INFINITY }: Bounds = {},
): AsyncGenerator<Uint8Array> {
  const start = performance.now();
  let window = { start, byteLength: 0 };
  let byteLength = 0;
  // The connection watches that something arrives at all within `stallMs`.
  for await (const bytes of body ?? []) {
    const now = performance.now();
    byteLength += bytes.length;
    window.byteLength += bytes.length;
    if (byteLength > mostBytes) throw new ProtocolError(`an answer of more than ${mostBytes} bytes`);
    const isStalled = now - window.start > stallMs;
    if (now - start > mostMs || (isStalled && window.byteLength < LEAST_BYTES)) {
      throw Object.assign(new Error("the answer comes too slowly"), { code: "UND_ERR_BODY_TIMEOUT" });
    }
    if (isStalled) window = { start: now, byteLength: 0 };
    yield bytes;
  }
}
