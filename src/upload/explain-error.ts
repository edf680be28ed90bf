/**
 * In: what went wrong while something was sent to the Hub. Out: a typed error that names the cause and the way out.
 * Guards: no token and no signed address gets into a message.
 */
import { ApplyDeltaError } from "../errors.js";
import { CERTIFICATE_HINT, describeOddity, HubAnswer, networkTrouble } from "../hub/answers.js";
import { StorageAnswer } from "./requests.js";

export interface UploadErrorContext {
  readonly repository: string;
  readonly endpoint: string;
}

export function tokensPage(endpoint: string): string {
  return `${endpoint}/settings/tokens`;
}

/** The typed error for whatever an upload ended in. Typed errors pass through, also from behind others. */
export function describeUploadError(error: unknown, context: UploadErrorContext): unknown {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof ApplyDeltaError) return cause;
  }
  if (error instanceof HubAnswer) return describeAnswer(error, context);
  const { repository, endpoint } = context;
  const trouble = networkTrouble(error);
  if (trouble === null) {
    return new ApplyDeltaError("upload-failed", "The Hub's answer to an upload can't be understood.", {
      file: repository,
      got: describeOddity(error),
      hint: `Is ${endpoint} a Hugging Face Hub, and is no login page of a network in between?`,
      cause: error,
    });
  }
  const what = {
    certificate: "The Hub's certificate isn't trusted.",
    broken: "The connection to the Hub breaks off while sending.",
    unreachable: "The Hub can't be reached to send to it.",
  };
  return new ApplyDeltaError("upload-unreachable", what[trouble.kind], {
    file: repository,
    expected: `an answer of ${endpoint}`,
    got: trouble.code,
    hint: trouble.kind === "certificate" ? CERTIFICATE_HINT : "Check the network and HTTPS_PROXY.",
    cause: error,
  });
}

function describeAnswer(answer: HubAnswer, { repository, endpoint }: UploadErrorContext): ApplyDeltaError {
  const { status, serverMessage } = answer;
  const details = {
    file: repository,
    got: `status ${status}${serverMessage === null ? "" : `: ${serverMessage}`}`,
    cause: answer,
  };
  if (answer instanceof StorageAnswer && status < 500 && status !== 429) {
    return new ApplyDeltaError("upload-failed", "The Hub's storage doesn't take a file.", {
      ...details,
      hint: "The address it was sent to may have run out: the next attempt gets a new one.",
    });
  }
  if (status === 401) {
    return new ApplyDeltaError("upload-token-refused", "The Hub doesn't accept the token.", {
      ...details,
      hint: `Make a new token with the right to write at ${tokensPage(endpoint)} and set HF_TOKEN.`,
    });
  }
  if (status === 403 || status === 404) {
    return new ApplyDeltaError("upload-denied", "The account of the token may not write to the repository.", {
      ...details,
      hint: `Use a token with the right to write there (${tokensPage(endpoint)}), or a repository of your own.`,
    });
  }
  if (status === 429) {
    return new ApplyDeltaError("upload-rate-limited", "The Hub says that there were too many requests.", {
      ...details,
      hint: "Wait some minutes.",
    });
  }
  return new ApplyDeltaError("upload-failed", "The Hub doesn't take the upload.", {
    ...details,
    hint: status >= 500 ? `It may pass: see ${endpoint}.` : "What it says is above.",
  });
}
