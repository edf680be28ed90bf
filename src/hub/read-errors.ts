import { ApplyDeltaError, type ErrorDetails } from "../errors.js";
import type { HubAnswer } from "./answers.js";
import { explainHubError } from "./explain-error.js";
import type { WantedModel } from "./reference.js";
import type { HubSession } from "./session.js";

export type ReadContext = Pick<HubSession, "settings" | "hasToken">;

/** The typed error for a failed request for a model, or for one of its files. Typed errors pass through. */
export function explainReadError(
  error: unknown,
  wanted: WantedModel,
  context: ReadContext,
  fileName?: string,
): unknown {
  const { repository, reference } = wanted;
  const file = fileName === undefined ? repository : `${repository}/${fileName}`;
  return explainHubError(error, {
    endpoint: context.settings.endpoint,
    file,
    codes: { unreachable: "no-network", rateLimited: "rate-limited", failed: "hub-failure" },
    unreachable: `${reference} is not a local path, and the Hub can't be reached.`,
    failed: `The Hub can't send ${file}.`,
    again: "Run the same command again: it resumes where it stopped.",
    hasToken: context.hasToken,
    explainRefusal: (answer, details) =>
      explainMissing(answer, details, wanted, context) ?? explainForbidden(answer, details, wanted, context),
  });
}

function explainMissing(
  { status, errorCode }: HubAnswer,
  details: ErrorDetails,
  { repository, revision, reference }: WantedModel,
  { settings, hasToken }: ReadContext,
): ApplyDeltaError | null {
  if (errorCode === "RevisionNotFound") {
    return new ApplyDeltaError("revision-not-found", `${repository} has no revision ${revision}.`, {
      ...details,
      expected: "a branch, a tag or a commit",
      got: revision,
      hint: `See ${settings.endpoint}/${repository}/tree/main for its branches and tags.`,
    });
  }
  if (errorCode === "GatedRepo") return null;
  const isUnknownName = errorCode === "RepoNotFound" || (status === 401 && !hasToken);
  if (!isUnknownName && (status !== 404 || errorCode === "EntryNotFound")) return null;
  const message = `${reference} is neither a local path nor a model on the Hub.`;
  return new ApplyDeltaError("repository-not-found", message, {
    ...details,
    hint: hasToken
      ? "Check it for a typo. If the model is private, use a token of an account with access."
      : "Check it for a typo. If the model is private, set HF_TOKEN.",
  });
}

function explainForbidden(
  { status, errorCode }: HubAnswer,
  details: ErrorDetails,
  { repository }: WantedModel,
  { settings, hasToken }: ReadContext,
): ApplyDeltaError | null {
  const page = `${settings.endpoint}/${repository}`;
  if (errorCode === "GatedRepo") {
    return new ApplyDeltaError("gated-repository", `${repository} is gated: its owner grants access.`, {
      ...details,
      hint: hasToken
        ? `Request access at ${page} with the account of your token, and allow the token to read gated repositories.`
        : `Request access at ${page}, then set HF_TOKEN.`,
    });
  }
  if (status !== 401 && status !== 403) return null;
  if (!hasToken) {
    return new ApplyDeltaError("gated-repository", `The Hub denies access to ${repository}.`, {
      ...details,
      hint: `See ${page}. If it needs a token, set HF_TOKEN.`,
    });
  }
  const isStored = settings.token === null && settings.tokenFile !== null;
  const message = status === 401 ? "The Hub rejects the token." : `The token has no access to ${repository}.`;
  return new ApplyDeltaError("bad-token", message, {
    ...details,
    hint:
      (isStored ? `The token comes from ${settings.tokenFile}. ` : "") +
      `Create a token with read access at ${settings.endpoint}/settings/tokens and set HF_TOKEN.`,
  });
}
