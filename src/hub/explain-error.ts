import { ApplyDeltaError, type ErrorCode } from "../errors.js";
import {
  causesOf,
  HubAnswer,
  networkCodeOf,
  networkTrouble,
  ProtocolError,
  proxyStatusOf,
} from "./answers.js";
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
  /** Null for a refusal that any operation may meet. */
  explainRefusal(answer: HubAnswer): Explanation | null;
}

/**
 * The typed error for the failure of a request. Typed errors pass through, also from behind others. No token and no
 * signed address gets into a message.
 */
export function explainHubError(error: unknown, operation: HubOperation): ApplyDeltaError {
  for (const cause of causesOf(error)) if (cause instanceof ApplyDeltaError) return cause;
  const { endpoint, file } = operation;
  const [code, message, hint] =
    error instanceof HubAnswer ? explainAnswer(error, operation) : explainFailure(error, operation);
  return new ApplyDeltaError(code, message, {
    file,
    ...(networkTrouble(error) === null ? {} : { expected: `an answer from ${endpoint}` }),
    got: describe(error),
    hint,
    // The message of a SyntaxError quotes what it can't read.
    ...(error instanceof SyntaxError ? {} : { cause: error }),
  });
}

/** What was got. */
function describe(error: unknown): string {
  if (error instanceof HubAnswer) {
    const { status, serverMessage } = error;
    return `status ${status}${serverMessage === null ? "" : `: ${serverMessage}`}`;
  }
  const proxyStatus = proxyStatusOf(error);
  if (proxyStatus !== null) return `status ${proxyStatus} of the proxy`;
  if (error instanceof ProtocolError) return error.message;
  if (error instanceof SyntaxError) return "something that isn't JSON";
  return networkCodeOf(error) ?? String(error instanceof Error ? error.name : error);
}

function explainAnswer(answer: HubAnswer, operation: HubOperation): Explanation {
  const { codes, failed, again, hasToken } = operation;
  const refusal = operation.explainRefusal(answer);
  if (refusal !== null) return refusal;
  if (answer.status !== 429) return [codes.failed, failed, again];
  const seconds = Math.ceil((answer.retryAfterMs ?? 0) / 1000);
  const pause = seconds > 60 ? `${Math.ceil(seconds / 60)} minutes` : "some minutes";
  const more = hasToken ? "" : " With a token in HF_TOKEN the limit is higher.";
  return [codes.rateLimited, "The Hub reports too many requests.", `Wait ${pause}. ${again}${more}`.trim()];
}

const CHECK_NETWORK = "Check the network and HTTPS_PROXY.";

function explainFailure(error: unknown, operation: HubOperation): Explanation {
  const { endpoint, codes, unreachable, again } = operation;
  const proxyStatus = proxyStatusOf(error);
  if (proxyStatus !== null) {
    const hint =
      proxyStatus === 407
        ? "Give the proxy your credentials: HTTPS_PROXY=http://user:password@host:port."
        : "Check HTTPS_PROXY, or exclude the Hub's host with NO_PROXY.";
    return [codes.unreachable, "The proxy refuses requests to the Hub.", hint];
  }
  switch (networkTrouble(error)) {
    case "certificate": {
      const hint = "If your network inspects TLS, give Node its certificate: NODE_EXTRA_CA_CERTS=file.pem.";
      return [codes.unreachable, "The Hub's certificate isn't trusted.", hint];
    }
    case "broken":
      return [codes.unreachable, "The connection to the Hub keeps breaking.", again || CHECK_NETWORK];
    case "unreachable":
      return [codes.unreachable, unreachable, CHECK_NETWORK];
    default: {
      const hint = `Check that ${endpoint} is a Hugging Face Hub, and that no login page of your network answers for it.`;
      return [codes.failed, "The Hub's answer can't be understood.", hint];
    }
  }
}

type ReadContext = Pick<HubSession, "settings" | "hasToken">;

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
    again: "Run the same command again: it resumes where it stopped.",
    hasToken: context.hasToken,
    explainRefusal: (answer) => explainRefusal(answer, wanted, context),
  });
}

function explainRefusal(
  { status, errorCode }: HubAnswer,
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
  if (status !== 401 && status !== 403) return null;
  if (!hasToken) {
    const hint = `See ${page}. If it needs a token, set HF_TOKEN.`;
    return ["gated-repository", `The Hub denies access to ${repository}.`, hint];
  }
  const origin = token === null && tokenFile !== null ? `The token comes from ${tokenFile}. ` : "";
  return [
    "bad-token",
    status === 401 ? "The Hub rejects the token." : `The token has no access to ${repository}.`,
    `${origin}Create a token with read access at ${endpoint}/settings/tokens and set HF_TOKEN.`,
  ];
}
