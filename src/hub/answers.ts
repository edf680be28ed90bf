import * as z from "zod";
import { errnoOf } from "../errors.js";

/** An answer with another status than success. */
export class HubAnswer extends Error {
  constructor(
    readonly status: number,
    /** Who gave it: the Hub, or a server that it leads to. */
    readonly host: string,
    /** Whether the Hub said something of its own: a code, a message, the request's number. */
    readonly isExplained: boolean,
    /** The Hub's `X-Error-Code`: `RepoNotFound`, `GatedRepo`, … */
    readonly errorCode: string | null,
    readonly serverMessage: string | null,
    /** How long the server asks to wait, in milliseconds. */
    readonly retryAfterMs: number | null,
  ) {
    super(`${host} answered with status ${status}`);
  }

  /** Reads the answer's head, and its `body` where the head says nothing. Leaves out the `token` if it is quoted. */
  static of(
    { status, headers, url }: { readonly status: number; readonly headers: Headers; readonly url: URL },
    token: string | null,
    body?: string,
  ) {
    const message = headers.get("x-error-message") ?? errorIn(body) ?? plainText(headers, body);
    const shown = token === null ? message : (message?.replaceAll(token, "…") ?? null);
    const code = headers.get("x-error-code");
    const isExplained = code !== null || message !== null || headers.has("x-request-id");
    return new HubAnswer(status, url.host, isExplained, code, shown, waitAskedFor(headers));
  }
}

const errorBody = z.object({ error: z.string() });

/** The Hub's other way to say it: `{"error": "…"}`. */
function errorIn(body = ""): string | null {
  try {
    return errorBody.parse(JSON.parse(body)).error;
  } catch {
    return null;
  }
}

const MOST_MESSAGE_LENGTH = 500;

function plainText(headers: Headers, body = ""): string | null {
  const isPlain = headers.get("content-type")?.startsWith("text/plain") === true && body.trim() !== "";
  return isPlain ? body.trim().slice(0, MOST_MESSAGE_LENGTH) : null;
}

/** An answer that breaks the protocol: too long, of the wrong range, redirected in circles. */
export class ProtocolError extends Error {}

/** A request that failed, without its address, which may be signed; the network's error is its cause. */
export class FailedRequest extends Error {
  constructor(
    readonly host: string,
    cause: unknown,
  ) {
    super(`a request to ${host} failed`, { cause });
  }
}

/** Who answered with an error, or didn't answer; undefined where no request was made. */
export function hostOf(error: unknown): string | undefined {
  for (const cause of causesOf(error))
    if (cause instanceof HubAnswer || cause instanceof FailedRequest) return cause.host;
  return undefined;
}

/** JSON of an answer, of this shape; else a `ProtocolError`. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const place = result.error.issues[0]?.path.join(".") || "its top";
  throw new ProtocolError(`unexpected JSON about ${what}, at ${place}`);
}

/** `Retry-After` in seconds or as a date; the Hub's own `RateLimit: "api";r=0;t=55` names the seconds as `t`. */
function waitAskedFor(headers: Headers): number | null {
  const after = headers.get("retry-after") ?? "";
  if (/^\d+(?:\.\d+)?$/.test(after)) return Number(after) * 1000;
  const date = Date.parse(after);
  if (!Number.isNaN(date)) return Math.max(0, date - Date.now());
  const seconds = /;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}

const PASSING_STATUSES = new Set([408, 425, 429, 500, 502, 503, 504]);

/** There was no connection at all. */
const UNREACHABLE = new Set([
  ...["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "ENETDOWN"],
  ...["ETIMEDOUT", "UND_ERR_CONNECT_TIMEOUT"],
]);

/** A connection that broke off or fell silent. */
const BROKEN = new Set([
  ...["ECONNRESET", "EPIPE", "UND_ERR_SOCKET", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"],
  ...["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", "HPE_INVALID_EOF_STATE", "UND_ERR_ABORTED"],
]);

/** An error and those behind it. */
export function* causesOf(error: unknown): Generator<Error> {
  for (let cause = error; cause instanceof Error; cause = cause.cause) yield cause;
}

/** The code of the network's error behind a failed fetch, or null where it isn't one. */
export function networkCodeOf(error: unknown): string | null {
  for (const cause of causesOf(error)) {
    const code = errnoOf(cause);
    if (code !== undefined) return code;
    // Happy eyeballs: one error for each address.
    if (cause instanceof AggregateError && cause.errors.length > 0) return networkCodeOf(cause.errors[0]);
  }
  return null;
}

/** Null where the network did its work. */
export function networkTrouble(error: unknown): "certificate" | "broken" | "unreachable" | null {
  const code = networkCodeOf(error) ?? "";
  if (/CERT|SIGNED|VERIFY|HOSTNAME_MISMATCH/.test(code)) return "certificate";
  if (BROKEN.has(code)) return "broken";
  return UNREACHABLE.has(code) ? "unreachable" : null;
}

/** Whether the same request may succeed in a while. */
export function isTransient(error: unknown): boolean {
  const status = error instanceof HubAnswer ? error.status : proxyStatusOf(error);
  if (status !== null) return PASSING_STATUSES.has(status);
  const trouble = networkTrouble(error);
  return trouble === "broken" || trouble === "unreachable";
}

/** The status with which a proxy refuses a tunnel, or null; undici has it in the message alone. */
export function proxyStatusOf(error: unknown): number | null {
  for (const { message } of causesOf(error)) {
    const status = /^Proxy response \((\d{3})\)/.exec(message)?.[1];
    if (status !== undefined) return Number(status);
  }
  return null;
}
