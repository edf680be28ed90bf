/**
 * Where requests may go, of the Hub's library and our own: the token goes to the endpoint's origin and nowhere else,
 * wherever a redirect leads; nothing but HTTP is spoken, and no redirect goes from HTTPS to it. And what an answer may
 * cost: a server that sends a byte now and then would keep a request alive for ever, one that never stops would fill
 * the memory.
 */
import { FailedRequest, HubAnswer, ProtocolError } from "./answers.js";
import { checkJsonBounds } from "./json-bounds.js";

/** What is sent to an address. */
export interface Question {
  readonly method?: string;
  readonly headers?: RequestInit["headers"];
  readonly body?: RequestInit["body"];
  readonly signal?: AbortSignal | null;
}

/** The head of an answer, and its body as it comes. Whoever gets it reads it to its end or ends it. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: AsyncIterable<Uint8Array>;
  /** Reads what is little, or closes the connection. */
  end(): Promise<void>;
}

/** An answer, and the address that gave it. */
export type LocatedAnswer = Answer & { readonly url: URL };

/** One request to one address, no redirect followed. */
export type Send = (url: URL, question: Question & { readonly headers: Headers }) => Promise<Answer>;

export type Ask = (address: string | URL, question?: Question) => Promise<LocatedAnswer>;
export type Fetch = typeof globalThis.fetch;

/** More than the Hub has in any path of ours (two); stops a circle. */
const MOST_REDIRECTS = 8;

export function isSuccess({ status }: Pick<Answer, "status">): boolean {
  return status >= 200 && status <= 299;
}

export function isRedirect({ status, headers }: Pick<Answer, "status" | "headers">): boolean {
  return status >= 300 && status <= 399 && headers.has("location");
}

/** Follows redirects by our rules. Any final status is an answer; the failure of a request names the host. */
export function createAsk(send: Send, endpoint: string, token: string | null, signal?: AbortSignal) {
  const home = new URL(endpoint).origin;
  /** `mayFollow` is asked of each redirect: one that isn't followed is the answer, and `url` is where it leads. */
  async function ask(address: string | URL, question: Question = {}, mayFollow = (_: URL) => true) {
    // An address may come out of an answer: of the next page, of Xet's storage.
    let url = addressOf("a request", String(address));
    const headers = new Headers(question.headers);
    headers.set("user-agent", "vicuna-apply-delta");
    // Compressed, ranges and lengths would be those of something else.
    headers.set("accept-encoding", "identity");
    const signals = [signal ?? [], question.signal ?? []].flat();
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      if (url.origin === home && token !== null && !headers.has("authorization")) {
        headers.set("authorization", `Bearer ${token}`);
      }
      const answer = await withHost(url, () =>
        send(url, { ...question, headers, signal: AbortSignal.any(signals) }),
      );
      if (!isRedirect(answer)) return { ...answer, url };
      await answer.end();
      const asked = `${url.protocol}//${url.host}`;
      const next = addressOf(`a redirect from ${asked}`, answer.headers.get("location") ?? "", url);
      if (url.protocol === "https:" && next.protocol === "http:") {
        throw new ProtocolError(`a redirect from ${asked} to ${next.protocol}//${next.host}`);
      }
      if (!mayFollow(next)) return { ...answer, url: next };
      // Whoever's credentials they are, they were meant for the origin that was asked.
      if (next.origin !== url.origin) headers.delete("authorization");
      url = next;
    }
    throw new ProtocolError(`more than ${MOST_REDIRECTS} redirects`);
  }
  return {
    ask: (address: string | URL, question?: Question) => ask(address, question),
    /** Where the Hub sends whoever asks for these bytes: an address that is signed for a while, or one of its own. */
    async locate(address: string): Promise<LocatedAnswer> {
      const found = await ask(address, { method: "HEAD" }, (next) => next.origin === home);
      await found.end();
      return found;
    },
  };
}

/** Any other scheme would read from this machine, or from nowhere. */
function addressOf(what: string, text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) throw new ProtocolError(`${what} to a malformed address`);
  const url = new URL(text, base);
  if (!/^https?:$/.test(url.protocol)) throw new ProtocolError(`${what} to ${url.protocol}//${url.host}`);
  if (`${url.username}${url.password}` === "") return url;
  throw new ProtocolError(`${what} to ${url.host} with a user name or password in the address`);
}

async function withHost<T>({ host }: URL, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw error instanceof ProtocolError ? error : new FailedRequest(host, error);
  }
}

/** A page of a listing is some 300 bytes for each of 1000 files; stops an answer that would fill the memory. */
const MOST_ANSWER_BYTES = 8_000_000;

/** An answer of the API takes a second; so many times the patience with silence is plenty for a slow line. */
const MOST_STALLS = 12;

/** For small answers: read at once, so that no connection stays open; anything but success is thrown. */
export function createApiFetch(ask: Ask, stallMs: number, token: string | null): Fetch {
  return async (input, init) => {
    const answer = await ask(addressIn(input), init);
    const bounds = { mostBytes: MOST_ANSWER_BYTES, mostMs: MOST_STALLS * stallMs };
    const text = await responseOf(answer, stallMs, bounds).text();
    checkJsonBounds(text);
    if (!isSuccess(answer)) throw HubAnswer.of(answer, token, text);
    const { status, headers } = answer;
    return new Response(status === 204 ? null : text, { status, headers });
  };
}

/** For answers that a library reads: bounded where it would hold them in memory, else with a least speed. */
export function createBoundedFetch(ask: Ask, stallMs: number): Fetch {
  return async (input, init) => {
    const answer = await ask(addressIn(input), init);
    const isHeld = !isSuccess(answer) || (answer.headers.get("content-type") ?? "").includes("json");
    return responseOf(answer, stallMs, isHeld ? { mostBytes: MOST_ANSWER_BYTES } : {});
  };
}

function addressIn(input: Parameters<Fetch>[0]): string {
  return String(input instanceof Request ? input.url : input);
}

interface Bounds {
  readonly mostBytes?: number;
  /** The longest time for the whole answer. */
  readonly mostMs?: number;
}

function responseOf(
  { body, status, headers, url }: LocatedAnswer,
  stallMs: number,
  bounds: Bounds,
): Response {
  const isEmpty = status === 204 || status === 304;
  const bounded = isEmpty
    ? null
    : ReadableStream.from(plainBytes(boundedBody({ body, url }, stallMs, bounds)));
  return new Response(bounded, { status, headers });
}

/** The library slices what it reads, and a Buffer's slice isn't a copy. */
async function* plainBytes(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const { buffer, byteOffset, byteLength } of body)
    yield new Uint8Array(buffer, byteOffset, byteLength);
}

/** In each `stallMs`: a hundredth of what a modem of the nineties gave each of eight connections. */
const LEAST_BYTES = 1024;

/**
 * The bytes of an answer that must end. Errors: a `ProtocolError` for one that is too long, a `FailedRequest` for one
 * that breaks off or is too slow.
 */
export async function* boundedBody(
  { body, url }: Pick<LocatedAnswer, "body" | "url">,
  stallMs: number,
  { mostBytes = Number.POSITIVE_INFINITY, mostMs = Number.POSITIVE_INFINITY }: Bounds = {},
): AsyncGenerator<Uint8Array> {
  const start = performance.now();
  let window = { start, byteLength: 0 };
  let byteLength = 0;
  try {
    // The connection watches that something arrives at all within `stallMs`.
    for await (const bytes of body) {
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
  } catch (error) {
    throw error instanceof ProtocolError ? error : new FailedRequest(url.host, error);
  }
}
