/**
 * Where requests may go, of the Hub's library and our own: the token goes to the endpoint's origin and nowhere else,
 * wherever a redirect leads; nothing but HTTP is spoken, and no redirect goes from HTTPS to it.
 */

import { HubAnswer, ProtocolError } from "./answers.js";
import { type BodyBounds, boundedBody } from "./bounded-body.js";

export type Send = (url: URL, init: RequestInit) => Promise<Response>;
export type Fetch = typeof globalThis.fetch;

export interface RequestPolicy {
  readonly endpoint: string;
  readonly token: string | null;
  readonly signal?: AbortSignal | undefined;
}

/** More than the Hub has in any path of ours (two); stops a circle. */
const MOST_REDIRECTS = 8;

/** The file list of a repository is some 300 bytes a file; stops an answer that would fill the memory. */
const MOST_ANSWER_BYTES = 32_000_000;

/** A fetch that follows redirects by our rules. Any final status is an answer. */
export function createFetch(send: Send, { endpoint, token, signal }: RequestPolicy): Fetch {
  const home = new URL(endpoint).origin;
  return async (input, init = {}) => {
    // An address may come out of an answer: of the next page, of Xet's storage.
    let url = addressOf(String(input instanceof Request ? input.url : input));
    const headers = new Headers(init.headers);
    headers.set("user-agent", "vicuna-apply-delta");
    // Compressed, ranges and lengths would be those of something else.
    headers.set("accept-encoding", "identity");
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      if (url.origin === home && token !== null && !headers.has("authorization")) {
        headers.set("authorization", `Bearer ${token}`);
      }
      const signals = [signal, init.signal].filter((each) => each !== undefined && each !== null);
      const own = { ...init, headers, redirect: "manual" as const };
      const answer = await send(
        url,
        signals.length === 0 ? own : { ...own, signal: AbortSignal.any(signals) },
      );
      const location = answer.headers.get("location");
      if (answer.status < 300 || answer.status > 399 || location === null) return answer;
      await answer.body?.cancel();
      const next = addressOf(location, url);
      if (url.protocol === "https:" && next.protocol === "http:") {
        throw new ProtocolError(
          `a redirect from ${url.protocol}//${url.host} to ${next.protocol}//${next.host}`,
        );
      }
      // Whoever's credentials they are, they were meant for the origin that was asked.
      if (next.origin !== url.origin) headers.delete("authorization");
      url = next;
    }
    throw new ProtocolError(`more than ${MOST_REDIRECTS} redirects`);
  };
}

/** Any other scheme would read from this machine, or from nowhere. */
function addressOf(text: string, from?: URL): URL {
  const base = from?.href;
  const where = from === undefined ? "a request" : `a redirect from ${from.protocol}//${from.host}`;
  if (!URL.canParse(text, base)) throw new ProtocolError(`${where} to a malformed address`);
  const url = new URL(text, base);
  if (/^https?:$/.test(url.protocol)) return url;
  throw new ProtocolError(`${where} to ${url.protocol}//${url.host}`);
}

/** An answer of the API takes a second; so many times the patience with silence is plenty for a slow line. */
const MOST_STALLS = 12;

/** The same for small answers: read at once, so that no connection stays open; anything but success is thrown. */
export function createApiFetch(fetchAny: Fetch, stallMs: number, token: string | null): Fetch {
  return async (input, init) => {
    const answer = await fetchAny(input, init);
    const bounds = { stallMs, mostBytes: MOST_ANSWER_BYTES, mostMs: MOST_STALLS * stallMs };
    const bytes = await readBody(answer, bounds);
    if (!answer.ok) throw HubAnswer.of(answer, { body: bytes, token });
    return new Response(answer.status === 204 ? null : bytes, {
      status: answer.status,
      headers: answer.headers,
    });
  };
}

/** For answers that a library reads: bounded where it would hold them in memory, else with a least speed. */
export function createBoundedFetch(fetchAny: Fetch, stallMs: number): Fetch {
  return async (input, init) => {
    const answer = await fetchAny(input, init);
    const isHeld = !answer.ok || (answer.headers.get("content-type") ?? "").includes("json");
    const bounds = isHeld ? { stallMs, mostBytes: MOST_ANSWER_BYTES } : { stallMs };
    const { status, headers, body } = answer;
    return new Response(body === null ? null : ReadableStream.from(boundedBody(body, bounds)), {
      status,
      headers,
    });
  };
}

async function readBody({ body }: Response, bounds: BodyBounds): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of boundedBody(body, bounds)) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}
