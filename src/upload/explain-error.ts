import { ApplyDeltaError, type ErrorDetails } from "../errors.js";
import type { HubAnswer } from "../hub/answers.js";
import { explainHubError } from "../hub/explain-error.js";
import { StorageAnswer } from "./requests.js";

export interface UploadContext {
  readonly repository: string;
  readonly endpoint: string;
}

export function tokensPage(endpoint: string): string {
  return `${endpoint}/settings/tokens`;
}

/** The typed error for a failed upload. Typed errors pass through. */
export function explainUploadError(error: unknown, context: UploadContext): unknown {
  const { repository, endpoint } = context;
  return explainHubError(error, {
    endpoint,
    file: repository,
    codes: {
      unreachable: "upload-unreachable",
      rateLimited: "upload-rate-limited",
      failed: "upload-failed",
    },
    unreachable: "The Hub can't be reached.",
    failed: "The Hub doesn't accept the upload.",
    // The command line adds it: after a merge it isn't the same command that goes on.
    again: "",
    hasToken: true,
    explainRefusal: (answer, details) => explainRefusal(answer, details, context),
  });
}

function explainRefusal(
  answer: HubAnswer,
  details: ErrorDetails,
  { repository, endpoint }: UploadContext,
): ApplyDeltaError | null {
  const { status } = answer;
  if (answer instanceof StorageAnswer && status < 500 && status !== 429) {
    return new ApplyDeltaError("upload-failed", "The Hub's storage refuses a file.", {
      ...details,
      hint: "The address for the file may have expired: the next attempt gets a new one.",
    });
  }
  if (status === 401) {
    return new ApplyDeltaError("upload-token-refused", "The Hub rejects the token.", {
      ...details,
      hint: `Create a token with write access at ${tokensPage(endpoint)} and set HF_TOKEN.`,
    });
  }
  if (status === 403 || status === 404) {
    return new ApplyDeltaError("upload-denied", `The token has no write access to ${repository}.`, {
      ...details,
      hint: `Use a token with write access (${tokensPage(endpoint)}), or a repository of your own.`,
    });
  }
  if (status === 429) return null;
  return new ApplyDeltaError("upload-failed", "The Hub doesn't accept the upload.", {
    ...details,
    hint: status >= 500 ? `The Hub may be down: see ${endpoint}.` : "See the Hub's reason above.",
  });
}
