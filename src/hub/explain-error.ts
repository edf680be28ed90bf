import { ApplyDeltaError, type ErrorCode } from "../errors.js";
import { RESUMES } from "../interrupt.js";
import {
  causesOf,
  HubAnswer,
  hostOf,
  networkCodeOf,
  networkTrouble,
  ProtocolError,
  proxyStatusOf,
} from "./answers.js";
import { hasLoginExpired } from "./login.js";
import type { WantedModel } from "./reference.js";
import type { HubSession } from "./session.js";

/** What an error says: its code, its headline and its hint. */
export type Explanation = readonly [code: ErrorCode, message: string, hint: string];

/** What was tried when a request failed, and the words for it. */
export interface HubOperation {
  readonly endpoint: string;
  /** The repository, or a file in it. */
  readonly file: string;
  readonly codes: Readonly<Record<"unreachable" | "rateLimited" | "failed", ErrorCode>>;
  /** The headline where there is no connection at all. */
  readonly unreachable: string;
  /** The headline where the Hub has no better reason for refusing. */
  readonly failed: string;
  /** The sentence that says what trying again does, or nothing. */
  readonly again: string;
  readonly hasToken: boolean;
  /** Whether the Hub has answered before. */
  readonly hasAnswered: boolean;
  /** Headline and hint where another server than the Hub, of this host, refuses to give or take the bytes. */
  explainStorage(host: string): readonly [message: string, hint: string];
  /** Null for a refusal that any operation may meet. */
  explainRefusal(answer: HubAnswer): Explanation | null;
}

/**
 * The typed error for the failure of a request. Typed errors pass through, also from behind others. No token and no
 * signed address gets into a message.
 */
export function explainHubError(error: unknown, operation: HubOperation): ApplyDeltaError {
  for (const cause of causesOf(error)) if (cause instanceof ApplyDeltaError) return cause;
  const { file } = operation;
  const [code, message, hint] =
    error instanceof HubAnswer ? explainAnswer(error, operation) : explainFailure(error, operation);
  return new ApplyDeltaError(code, message, {
    file,
    ...(networkTrouble(error) === null ? {} : { expected: `an answer from ${serverOf(error, operation)}` }),
    got: describe(error),
    hint,
    // The message of a SyntaxError quotes what it can't read.
    ...(error instanceof SyntaxError ? {} : { cause: error }),
  });
}

/** Who was asked last: the Hub, or a server that it leads to. */
function serverOf(error: unknown, { endpoint }: HubOperation): string {
  const host = hostOf(error) ?? "";
  return host === "" || host === new URL(endpoint).host ? endpoint : host;
}

/** What was got. */
function describe(error: unknown): string {
  if (error instanceof HubAnswer) {
    const { status, serverMessage, host, isExplained } = error;
    const isRefusal = status < 500 && status !== 429;
    const server = isExplained || !isRefusal ? "" : ` from ${host}`;
    return `status ${status}${serverMessage === null ? server : `: ${serverMessage}`}`;
  }
  const proxyStatus = proxyStatusOf(error);
  if (proxyStatus !== null) return `status ${proxyStatus} of the proxy`;
  if (error instanceof ProtocolError) return error.message;
  if (error instanceof SyntaxError) return "something that isn't JSON";
  return networkCodeOf(error) ?? String(error instanceof Error ? error.name : error);
}

function explainAnswer(answer: HubAnswer, operation: HubOperation): Explanation {
  const { codes, endpoint, failed, again, hasToken } = operation;
  const { status, host } = answer;
  if (status === 429) {
    const seconds = Math.ceil((answer.retryAfterMs ?? 0) / 1000);
    const pause = seconds > 60 ? `${Math.ceil(seconds / 60)} minutes` : "some minutes";
    const more = hasToken ? "" : " With a token in HF_TOKEN the limit is higher.";
    return [codes.rateLimited, "The Hub reports too many requests.", `Wait ${pause}. ${again}${more}`.trim()];
  }
  const isOfTheHub = host === new URL(endpoint).host;
  const refusal = isOfTheHub ? operation.explainRefusal(answer) : null;
  if (refusal !== null) return refusal;
  if (status >= 500) return [codes.failed, failed, again];
  if (!isOfTheHub) return [codes.failed, ...operation.explainStorage(host)];
  if (answer.isExplained) return [codes.failed, failed, again];
  const hint = `A firewall or a login page of your network may answer for ${host}: try another network. If it is a mirror, ask who runs it.`;
  return [codes.failed, `Something refuses requests to ${host}, and it isn't the Hub.`, hint];
}

const CHECK_NETWORK = "Check the network and HTTPS_PROXY.";

function explainFailure(error: unknown, operation: HubOperation): Explanation {
  const { endpoint, codes, unreachable, again, hasAnswered } = operation;
  const proxyStatus = proxyStatusOf(error);
  if (proxyStatus !== null) {
    const hint =
      proxyStatus === 407
        ? "Give the proxy your credentials: HTTPS_PROXY=http://user:password@host:port."
        : "Check HTTPS_PROXY, or exclude the Hub's host with NO_PROXY.";
    return [codes.unreachable, "The proxy refuses requests to the Hub.", hint];
  }
  const host = hostOf(error) ?? new URL(endpoint).host;
  const isOfTheHub = host === new URL(endpoint).host;
  switch (networkTrouble(error)) {
    case "certificate": {
      const hint =
        "If your network inspects TLS, give its certificate in SSL_CERT_FILE or NODE_EXTRA_CA_CERTS: a PEM file.";
      return [codes.unreachable, `The certificate of ${host} isn't trusted.`, hint];
    }
    case "broken":
      return [codes.unreachable, `The connection to ${host} keeps breaking.`, again || CHECK_NETWORK];
    case "unreachable": {
      if (isOfTheHub && !hasAnswered) return [codes.unreachable, unreachable, CHECK_NETWORK];
      const block = isOfTheHub ? "" : ` A firewall may block ${host}.`;
      return [codes.unreachable, `${host} can't be reached.`, `${CHECK_NETWORK}${block} ${again}`.trim()];
    }
    default: {
      const hint = `Check that ${endpoint} is a Hugging Face Hub, and that no login page of your network answers for it.`;
      const isRedirect = error instanceof ProtocolError && error.message.startsWith("a redirect");
      const headline = isRedirect
        ? `${new URL(endpoint).host} redirects to an address that isn't followed.`
        : "The Hub's answer can't be understood.";
      return [codes.failed, headline, hint];
    }
  }
}

type ReadContext = Pick<HubSession, "settings" | "hasToken"> & {
  readonly retrier: Pick<HubSession["retrier"], "hasAnswered">;
};

/** The typed error for a failed request for a model, or for one of its files. Typed errors pass through. */
export function explainReadError(
  error: unknown,
  wanted: WantedModel,
  context: ReadContext,
  file = wanted.repository,
): ApplyDeltaError {
  return explainHubError(error, {
    endpoint: context.settings.endpoint,
    file,
    codes: { unreachable: "no-network", rateLimited: "rate-limited", failed: "hub-failure" },
    unreachable: `${wanted.reference} is not a local path, and the Hub can't be reached.`,
    failed: `The Hub can't send ${file}.`,
    again: RESUMES,
    hasToken: context.hasToken,
    hasAnswered: context.retrier.hasAnswered(),
    explainStorage: (host) => [
      `${host} refuses to send what the Hub has there.`,
      `A firewall may block ${host}: allow it, or try another network. Then run the same command again.`,
    ],
    explainRefusal: (answer) => explainRefusal(answer, wanted, context),
  });
}

function explainRefusal(
  { status, errorCode, isExplained }: HubAnswer,
  { repository, revision, reference }: WantedModel,
  { settings, hasToken }: ReadContext,
): Explanation | null {
  const { endpoint, token, tokenFile } = settings;
  const page = `${endpoint}/${repository}`;
  if (errorCode === "RevisionNotFound") {
    const message = `${repository} has no revision ${revision}.`;
    return ["revision-not-found", message, `See ${page}/tree/main for its branches and tags.`];
  }
  if (errorCode === "GatedRepo") {
    const hint = hasToken
      ? `Request access at ${page} with the account of your token, and allow the token to read gated repositories.`
      : `Request access at ${page}, then set HF_TOKEN.`;
    return ["gated-repository", `${repository} is gated: its owner grants access.`, hint];
  }
  const isUnknownName = errorCode === "RepoNotFound" || (status === 401 && !hasToken);
  if (isUnknownName || (status === 404 && errorCode !== "EntryNotFound")) {
    const withToken = hasToken ? "use a token of an account with access" : "set HF_TOKEN";
    return [
      "repository-not-found",
      `${reference} is neither a local path nor a model on the Hub.`,
      `Check it for a typo. If the model is private, ${withToken}.`,
    ];
  }
  if (status !== 401 && (status !== 403 || !isExplained)) return null;
  if (!hasToken) {
    const hint = `See ${page}. If it needs a token, set HF_TOKEN.`;
    return ["gated-repository", `The Hub denies access to ${repository}.`, hint];
  }
  const isLogin = token === null && tokenFile !== null;
  if (isLogin && hasLoginExpired(tokenFile)) {
    const hint =
      "Run `hf auth whoami`, which renews it, or `hf auth login`. Then run the same command again.";
    return ["bad-token", "Your login on the Hub has expired.", hint];
  }
  const origin = isLogin ? `The token comes from ${tokenFile}. ` : "";
  return [
    "bad-token",
    status === 401 ? "The Hub rejects the token." : `The token has no access to ${repository}.`,
    `${origin}Create a token with read access at ${endpoint}/settings/tokens and set HF_TOKEN.`,
  ];
}
