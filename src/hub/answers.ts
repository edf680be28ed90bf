import { z } from "zod";
import { errnoOf } from "../errors.js";

/** An answer with another status than success. */
export class HubAnswer extends Error {
  constructor(
    readonly status: number,
    /** The Hub's `X-Error-Code`: `RepoNotFound`, `GatedRepo`, … */
    readonly errorCode: string | null,
    readonly serverMessage: string | null,
    /** How long the server asks to wait, in milliseconds. */
    readonly retryAfterMs: number | null,
  ) {
    super(`the Hub answered with status ${status}`);
  }

  /** Reads the answer's head, and its body where the head says nothing. Leaves out the `token` if it is quoted. */
  static of(
    { status, headers }: Pick<Response, "status" | "headers">,
    { body, token = null }: { readonly body?: Uint8Array; readonly token?: string | null } = {},
  ): HubAnswer {
    const message = headers.get("x-error-message") ?? errorIn(body);
    return new HubAnswer(
      status,
      headers.get("x-error-code"),
      token === null ? message : (message?.replaceAll(token, "…") ?? null),
      waitAskedFor(headers),
    );
  }
}

const errorBody = z.object({ error: z.string() });

/** The Hub's other way to say it: `{"error": "…"}`. */
function errorIn(body: Uint8Array | undefined): string | null {
  try {
    return errorBody.parse(JSON.parse(new TextDecoder().decode(body))).error;
  } catch {
    return null;
  }
}

/** An answer that breaks the protocol: too long, of the wrong range, redirected in circles. */
export class ProtocolError extends Error {}

/** `Retry-After` in seconds or as a date; the Hub's own `RateLimit: "api";r=0;t=55` names the seconds as `t`. */
function waitAskedFor(headers: Headers): number | null {
  const after = headers.get("retry-after");
  if (after !== null && /^\d+(?:\.\d+)?$/.test(after)) return Number(after) * 1000;
  const date = after === null ? Number.NaN : Date.parse(after);
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

/** The code of the network's error behind a failed fetch, or null where it isn't one. */
export function networkCodeOf(error: unknown): string | null {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const code = errnoOf(cause);
    if (code !== undefined) return code;
    // Happy eyeballs: one error for each address.
    if (cause instanceof AggregateError && cause.errors.length > 0) return networkCodeOf(cause.errors[0]);
  }
  return null;
}

export function isUnreachable(error: unknown): boolean {
  return UNREACHABLE.has(networkCodeOf(error) ?? "");
}

export interface NetworkTrouble {
  readonly code: string;
  readonly kind: "certificate" | "broken" | "unreachable";
}

/** Null where the network did its work. */
export function networkTrouble(error: unknown): NetworkTrouble | null {
  const code = networkCodeOf(error) ?? "";
  if (/CERT|SIGNED|VERIFY|HOSTNAME_MISMATCH/.test(code)) return { code, kind: "certificate" };
  if (BROKEN.has(code)) return { code, kind: "broken" };
  return UNREACHABLE.has(code) ? { code, kind: "unreachable" } : null;
}

/** What is wrong with an answer that can't be understood. */
export function describeOddAnswer(error: unknown): string {
  if (error instanceof ProtocolError) return error.message;
  if (error instanceof SyntaxError) return "something that isn't JSON";
  return networkCodeOf(error) ?? String(error instanceof Error ? error.name : error);
}

/** Whether the same request may succeed in a while. */
export function isTransient(error: unknown): boolean {
  const status = error instanceof HubAnswer ? error.status : proxyStatusOf(error);
  if (status !== null) return PASSING_STATUSES.has(status);
  const code = networkCodeOf(error) ?? "";
  return UNREACHABLE.has(code) || BROKEN.has(code);
}

/** The status with which a proxy refuses a tunnel, or null; undici has it in the message alone. */
export function proxyStatusOf(error: unknown): number | null {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const status = /^Proxy response \((\d{3})\)/.exec(cause.message)?.[1];
    if (status !== undefined) return Number(status);
  }
  return null;
}
