/**
 * In: what went wrong between here and the Hub. Out: whether it may pass, or a typed error that names the cause and
 * the way out.
 * Guards: no token and no signed address gets into a message.
 */
import { z } from "zod";
import { ApplyDeltaError, errnoOf } from "../errors.js";

/** An answer that isn't the one asked for. */
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

  /** Reads the answer's head, and where that says nothing its body. What it quotes of the `token` is left out. */
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

/** The Hub says `{"error": "…"}` where it has no head for it. */
function errorIn(body: Uint8Array | undefined): string | null {
  try {
    return errorBody.parse(JSON.parse(new TextDecoder().decode(body))).error;
  } catch {
    return null;
  }
}

/** An answer that breaks the protocol: too long, of the wrong range, redirected in circles. */
export class OddAnswer extends Error {}

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

/** There was no connection at all, so that none of the others makes sense either. */
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

/** What an error of the network means to whoever reads of it; null where the network did its work. */
export function networkTrouble(error: unknown): NetworkTrouble | null {
  const code = networkCodeOf(error) ?? "";
  if (/CERT|SIGNED|VERIFY|HOSTNAME_MISMATCH/.test(code)) return { code, kind: "certificate" };
  if (BROKEN.has(code)) return { code, kind: "broken" };
  return UNREACHABLE.has(code) ? { code, kind: "unreachable" } : null;
}

/** What an answer is that can't be understood. */
export function describeOddity(error: unknown): string {
  if (error instanceof OddAnswer) return error.message;
  if (error instanceof SyntaxError) return "something that isn't JSON";
  return networkCodeOf(error) ?? String(error instanceof Error ? error.name : error);
}

/** The way out where a certificate isn't trusted. */
export const CERTIFICATE_HINT =
  "If a proxy of your network stands in between, give Node its certificate: NODE_EXTRA_CA_CERTS=file.pem.";

/** Whether the same request may succeed in a while. */
export function mayPass(error: unknown): boolean {
  const status = error instanceof HubAnswer ? error.status : proxyStatusOf(error);
  if (status !== null) return PASSING_STATUSES.has(status);
  const code = networkCodeOf(error) ?? "";
  return UNREACHABLE.has(code) || BROKEN.has(code);
}

export interface HubErrorContext {
  readonly repository: string;
  readonly revision: string;
  readonly endpoint: string;
  readonly hasToken: boolean;
  /** Where the token was stored, or null where it was given. */
  readonly tokenFile: string | null;
  /** What the user gave, where it could have been a path as well. */
  readonly reference: string;
  /** The file that was asked for, where it was one. */
  readonly fileName?: string;
}

/** The typed error for whatever a request ended in. Typed errors pass through. */
export function describeHubError(error: unknown, context: HubErrorContext): unknown {
  if (error instanceof ApplyDeltaError) return error;
  if (error instanceof HubAnswer) return describeAnswer(error, context);
  const { endpoint, repository, fileName } = context;
  const where = fileName === undefined ? {} : { file: `${repository}/${fileName}` };
  const proxyStatus = proxyStatusOf(error);
  if (proxyStatus !== null) {
    return new ApplyDeltaError("no-network", "The proxy doesn't let requests to the Hub through.", {
      ...where,
      got: `status ${proxyStatus} of the proxy`,
      hint:
        proxyStatus === 407
          ? "It asks who you are: HTTPS_PROXY=http://user:password@host:port."
          : "Check HTTPS_PROXY, or take the host out of it with NO_PROXY.",
      cause: error,
    });
  }
  const trouble = networkTrouble(error);
  if (trouble?.kind === "certificate") {
    return new ApplyDeltaError("no-network", "The Hub's certificate isn't trusted.", {
      ...where,
      got: trouble.code,
      hint: CERTIFICATE_HINT,
      cause: error,
    });
  }
  if (trouble === null) {
    return new ApplyDeltaError("hub-failure", "The Hub's answer can't be understood.", {
      ...where,
      got: describeOddity(error),
      hint: `Try again later; is ${endpoint} a Hugging Face Hub, and is no login page of a network in between?`,
      // The message of a SyntaxError quotes what it can't read.
      ...(error instanceof SyntaxError ? {} : { cause: error }),
    });
  }
  const isBroken = trouble.kind === "broken";
  const what = isBroken
    ? "The connection to the Hub breaks off."
    : `${JSON.stringify(context.reference)} isn't a local path, and the Hub can't be reached.`;
  return new ApplyDeltaError("no-network", what, {
    ...where,
    expected: `an answer of ${endpoint}`,
    got: trouble.code,
    hint: isBroken
      ? "Run the same command again: it goes on where it stopped."
      : "Check the network and HTTPS_PROXY.",
    cause: error,
  });
}

/** The status with which a proxy refuses a tunnel, or null; undici has it in the message alone. */
function proxyStatusOf(error: unknown): number | null {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const status = /^Proxy response \((\d{3})\)/.exec(cause.message)?.[1];
    if (status !== undefined) return Number(status);
  }
  return null;
}

function describeAnswer(answer: HubAnswer, context: HubErrorContext): ApplyDeltaError {
  const { status, errorCode, serverMessage } = answer;
  const { repository, revision, endpoint, hasToken, tokenFile, reference, fileName } = context;
  const page = `${endpoint}/${repository}`;
  const details = {
    file: fileName === undefined ? repository : `${repository}/${fileName}`,
    got: `status ${status}${serverMessage === null ? "" : `: ${serverMessage}`}`,
    cause: answer,
  };
  if (errorCode === "GatedRepo") {
    return new ApplyDeltaError(
      "gated-repository",
      "The repository is gated: its owner decides who may read it.",
      {
        ...details,
        hint: hasToken
          ? `Ask for access at ${page} with the account of your token; the token must be allowed to read gated repositories.`
          : `Ask for access at ${page}, then set HF_TOKEN.`,
      },
    );
  }
  if (errorCode === "RevisionNotFound") {
    return new ApplyDeltaError("revision-not-found", "The repository has no such revision.", {
      ...details,
      expected: "a branch, a tag or a commit",
      got: revision,
      hint: `${page}/tree/main shows its branches and tags.`,
    });
  }
  const isUnknownName = errorCode === "RepoNotFound" || (status === 401 && !hasToken);
  if (isUnknownName || (status === 404 && errorCode !== "EntryNotFound")) {
    return new ApplyDeltaError(
      "repository-not-found",
      `${JSON.stringify(reference)} is neither a local path nor a model on the Hub that can be read.`,
      {
        ...details,
        hint: hasToken
          ? "Check the path or the name for a typo; if it is private, the account of your token needs access to it."
          : "Check the path or the name for a typo; if it is private, set HF_TOKEN.",
      },
    );
  }
  if (status === 401 || status === 403) {
    const stored = tokenFile === null ? "" : `It is the one stored in ${tokenFile}. `;
    const what = status === 401 ? "The Hub doesn't accept the token." : "The Hub refuses to give this out.";
    return new ApplyDeltaError(hasToken ? "bad-token" : "gated-repository", what, {
      ...details,
      hint: hasToken
        ? `${stored}Make a new token with the right to read at ${endpoint}/settings/tokens and set HF_TOKEN.`
        : `See ${page}; a token in HF_TOKEN may be needed.`,
    });
  }
  if (status === 429) {
    const seconds = Math.ceil((answer.retryAfterMs ?? 0) / 1000);
    const pause = seconds > 60 ? `${Math.ceil(seconds / 60)} minutes` : "some minutes";
    return new ApplyDeltaError("rate-limited", "The Hub says that there were too many requests.", {
      ...details,
      hint: hasToken
        ? `Wait ${pause} and run the same command again: it goes on where it stopped.`
        : `Wait ${pause} and run the same command again; with a token in HF_TOKEN the limit is higher.`,
    });
  }
  return new ApplyDeltaError("hub-failure", "The Hub doesn't give what was asked for.", {
    ...details,
    hint: "Run the same command again later: it goes on where it stopped.",
  });
}
