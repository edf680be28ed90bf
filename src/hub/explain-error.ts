import { ApplyDeltaError, type ErrorCode, type ErrorDetails } from "../errors.js";
import { describeOddAnswer, HubAnswer, networkTrouble, proxyStatusOf } from "./answers.js";

/** What was tried when a request failed, and the words for it. */
export interface HubOperation {
  readonly endpoint: string;
  /** The repository, or a file in it. */
  readonly file: string;
  readonly codes: {
    readonly unreachable: ErrorCode;
    readonly rateLimited: ErrorCode;
    readonly failed: ErrorCode;
  };
  /** The headline where there is no connection at all. */
  readonly unreachable: string;
  /** The headline where the Hub has no better reason for refusing. */
  readonly failed: string;
  /** The sentence that says what trying again does, or nothing. */
  readonly again: string;
  readonly hasToken: boolean;
  /** The error for a refusal that only this operation meets; null where it is none of them. */
  explainRefusal(answer: HubAnswer, details: ErrorDetails): ApplyDeltaError | null;
}

/**
 * The typed error for the failure of a request. Typed errors pass through, also from behind others. No token and no
 * signed address gets into a message.
 */
export function explainHubError(error: unknown, operation: HubOperation): unknown {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof ApplyDeltaError) return cause;
  }
  return error instanceof HubAnswer ? explainAnswer(error, operation) : explainFailure(error, operation);
}

function explainAnswer(answer: HubAnswer, operation: HubOperation): ApplyDeltaError {
  const { status, serverMessage } = answer;
  const got = `status ${status}${serverMessage === null ? "" : `: ${serverMessage}`}`;
  const details = { file: operation.file, got, cause: answer };
  const refusal = operation.explainRefusal(answer, details);
  if (refusal !== null) return refusal;
  if (status === 429) {
    const seconds = Math.ceil((answer.retryAfterMs ?? 0) / 1000);
    const pause = seconds > 60 ? `${Math.ceil(seconds / 60)} minutes` : "some minutes";
    const more = operation.hasToken ? "" : " With a token in HF_TOKEN the limit is higher.";
    return new ApplyDeltaError(operation.codes.rateLimited, "The Hub reports too many requests.", {
      ...details,
      hint: `Wait ${pause}. ${operation.again}${more}`.trim(),
    });
  }
  return new ApplyDeltaError(operation.codes.failed, operation.failed, { ...details, hint: operation.again });
}

const CHECK_NETWORK = "Check the network and HTTPS_PROXY.";

function explainFailure(error: unknown, { endpoint, file, codes, unreachable, again }: HubOperation) {
  const proxyStatus = proxyStatusOf(error);
  if (proxyStatus !== null) {
    return new ApplyDeltaError(codes.unreachable, "The proxy refuses requests to the Hub.", {
      file,
      got: `status ${proxyStatus} of the proxy`,
      hint:
        proxyStatus === 407
          ? "Give the proxy your credentials: HTTPS_PROXY=http://user:password@host:port."
          : "Check HTTPS_PROXY, or exclude the Hub's host with NO_PROXY.",
      cause: error,
    });
  }
  const trouble = networkTrouble(error);
  if (trouble === null) {
    return new ApplyDeltaError(codes.failed, "The Hub's answer can't be understood.", {
      file,
      got: describeOddAnswer(error),
      hint: `Check that ${endpoint} is a Hugging Face Hub, and that no login page of your network answers for it.`,
      // The message of a SyntaxError quotes what it can't read.
      ...(error instanceof SyntaxError ? {} : { cause: error }),
    });
  }
  const [message, hint] = {
    certificate: [
      "The Hub's certificate isn't trusted.",
      "If your network inspects TLS, give Node its certificate: NODE_EXTRA_CA_CERTS=file.pem.",
    ] as const,
    broken: ["The connection to the Hub keeps breaking.", again || CHECK_NETWORK] as const,
    unreachable: [unreachable, CHECK_NETWORK] as const,
  }[trouble.kind];
  const expected = `an answer from ${endpoint}`;
  return new ApplyDeltaError(codes.unreachable, message, {
    file,
    expected,
    got: trouble.code,
    hint,
    cause: error,
  });
}
