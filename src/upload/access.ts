/** Finds out before hours of work whether an upload may succeed. Changes nothing on the Hub. */
import { ApplyDeltaError } from "../errors.js";
import { HubAnswer } from "../hub/answers.js";
import { type Explanation, explainHubError } from "../hub/explain-error.js";
import { type HubListing, listRepository } from "../hub/listing.js";
import { DEFAULT_REVISION, parseHubReference } from "../hub/reference.js";
import { withRetries } from "../hub/retry.js";
import { openSession } from "../hub/session.js";
import { completeHubSettings, type HubSettings } from "../hub/settings.js";
import { Interruption } from "../interrupt.js";
import { silentReporter } from "../progress.js";
import type { UploadOptions } from "./options.js";
import { type Account, type CommitBranch, createHubWriter, type HubWriter } from "./writer.js";

export interface UploadAccess {
  readonly repository: string;
  readonly endpoint: string;
  /** Where the commit goes. */
  readonly branch: CommitBranch;
  /** What the repository holds; null where it doesn't exist yet. */
  readonly listing: HubListing | null;
  readonly writer: HubWriter;
  /** Asks again. */
  relist(this: void): Promise<HubListing | null>;
}

/** Putting a large file or a commit together takes the Hub a while. */
const ANSWER_PATIENCE = 12;

/**
 * Runs `body` with access, and ends all connections afterwards. Errors: `bad-usage`, `bad-token`, `no-upload-token`,
 * `upload-token-refused`, `upload-denied`, `repository-public`, `upload-unreachable`, `upload-rate-limited`,
 * `upload-failed`, `interrupted`.
 */
export async function withUploadAccess<T>(
  options: UploadOptions,
  body: (access: UploadAccess) => Promise<T>,
): Promise<T> {
  const { reporter = silentReporter, signal } = options;
  const settings = completeHubSettings(options.hub);
  const { endpoint, transfer } = settings;
  const repository = readDestination(options.repository, settings);
  const answerMs = ANSWER_PATIENCE * transfer.stallMs;
  const session = openSession(settings, reporter, signal, answerMs);
  const writer = createHubWriter(session);
  const branch = { revision: options.revision ?? DEFAULT_REVISION, isPullRequest: options.createPr === true };
  const relist = () =>
    withRetries(session.retrier, () =>
      listRepository(session, { repository, revision: branch.revision }),
    ).catch(noneWhereMissing);
  try {
    if (!session.hasToken) throw noToken(settings);
    judgeAccount(await writer.account(), repository, endpoint, branch);
    const listing = await relist();
    if (listing === null) refuseBranchOfNew(repository, branch);
    else {
      judgeRepository(listing, repository, options);
      await writer.probe(repository, branch);
    }
    return await body({ repository, endpoint, branch, listing, writer, relist });
  } catch (error) {
    if (signal?.aborted === true) {
      const hint = "Run the same command again: files that arrived whole aren't sent again.";
      throw new Interruption("nothing was committed to the repository", hint);
    }
    throw explainUploadError(error, repository, endpoint, session.retrier.hasAnswered());
  } finally {
    await session.close();
  }
}

function readDestination(repository: string, { offline }: HubSettings): string {
  const read = repository.includes("@") ? null : parseHubReference(repository);
  if (read === null) {
    throw new ApplyDeltaError("bad-usage", "The name of the repository is malformed.", {
      got: repository,
      expected: "owner/name: letters, digits, -, _ and ., 96 characters at most",
      hint: "The owner is your account on the Hub, or one of your organisations.",
    });
  }
  if (offline) {
    throw new ApplyDeltaError("bad-usage", "An upload is impossible offline.", {
      got: `an upload to ${read.repository}, and --offline or HF_HUB_OFFLINE`,
      hint: "Leave one of them out.",
    });
  }
  return read.repository;
}

function createToken(endpoint: string): string {
  return `Create one at ${endpoint}/settings/tokens and set HF_TOKEN`;
}

function noToken({ endpoint, tokenFile }: HubSettings): ApplyDeltaError {
  return new ApplyDeltaError("no-upload-token", "The upload needs a token, and none is set.", {
    file: tokenFile,
    expected: "a token with write access",
    hint: `${createToken(endpoint)}, or log in with \`hf auth login\`.`,
  });
}

/** Refuses where the Hub says that the token can't write there; silence isn't a reason to refuse. */
function judgeAccount(
  { name, organizations, mayWrite }: Account,
  repository: string,
  endpoint: string,
  { isPullRequest }: CommitBranch,
): void {
  if (!mayWrite) {
    throw new ApplyDeltaError("upload-denied", "The token has no write access.", {
      file: repository,
      expected: "a token with write access",
      got: `a read-only token of ${name}`,
      hint: `${createToken(endpoint)}.`,
    });
  }
  // Anybody may propose a change.
  if (organizations === null || isPullRequest) return;
  const owner = repository.slice(0, repository.indexOf("/"));
  const owners = [name, ...organizations];
  if (owners.some((known) => known.toLowerCase() === owner.toLowerCase())) return;
  throw new ApplyDeltaError("upload-denied", "The token can't write to this owner's repositories.", {
    file: repository,
    expected: `one of ${owners.join(", ")}`,
    got: owner,
    hint: "Check the owner for a typo, or use a token of an account in that organisation.",
  });
}

function judgeRepository({ name, isPrivate }: HubListing, repository: string, options: UploadOptions): void {
  if (name !== null && name !== repository) {
    throw new ApplyDeltaError("bad-usage", "The repository has been renamed.", {
      got: repository,
      expected: name,
      hint: "If you mean that one, give its new name.",
    });
  }
  if (options.private !== true || isPrivate !== false) return;
  const message = "The repository is public, but you asked for a private one.";
  throw new ApplyDeltaError("repository-public", message, {
    file: repository,
    hint: "Make it private in its settings on the Hub, or leave out --private.",
  });
}

/** A new repository has the one branch that its first commit makes, and nobody to propose anything to. */
function refuseBranchOfNew(repository: string, { revision, isPullRequest }: CommitBranch): void {
  if (revision === DEFAULT_REVISION && !isPullRequest) return;
  throw new ApplyDeltaError("bad-usage", `There is no repository ${repository} yet.`, {
    got: isPullRequest ? "--create-pr" : `--revision ${revision}`,
    hint: "Leave that out: then the repository is made.",
  });
}

/** A missing repository will be made; one without a commit is empty. */
function noneWhereMissing(error: unknown): null {
  if (error instanceof HubAnswer && error.errorCode === "RevisionNotFound") throw error;
  if (error instanceof HubAnswer && (error.status === 404 || error.errorCode === "RepoNotFound")) return null;
  throw error;
}

/** The typed error for a failed upload. Typed errors pass through. */
function explainUploadError(
  error: unknown,
  repository: string,
  endpoint: string,
  hasAnswered: boolean,
): unknown {
  const failed = "The Hub doesn't accept the upload.";
  const explainRefusal = (answer: HubAnswer): Explanation | null => {
    const { status } = answer;
    const tokens = `${endpoint}/settings/tokens`;
    if (answer.errorCode === "RevisionNotFound") {
      const hint = `Make it on ${endpoint}/${repository}, or leave --revision out.`;
      return ["revision-not-found", `${repository} has no such branch.`, hint];
    }
    if (status === 401) {
      const hint = `Create a token with write access at ${tokens} and set HF_TOKEN.`;
      return ["upload-token-refused", "The Hub rejects the token.", hint];
    }
    if ((status === 403 && answer.isExplained) || status === 404) {
      const hint = `Use a token with write access (${tokens}), or a repository of your own.`;
      return ["upload-denied", `The token has no write access to ${repository}.`, hint];
    }
    if (status >= 500) return ["upload-failed", failed, `The Hub may be down: see ${endpoint}.`];
    return answer.isExplained ? ["upload-failed", failed, "See the Hub's reason above."] : null;
  };
  return explainHubError(error, {
    endpoint,
    file: repository,
    codes: {
      unreachable: "upload-unreachable",
      rateLimited: "upload-rate-limited",
      failed: "upload-failed",
    },
    unreachable: "The Hub can't be reached.",
    failed,
    // The command line adds it: after a merge it isn't the same command that goes on.
    again: "",
    hasToken: true,
    hasAnswered,
    explainStorage: (host) => [
      `${host}, the Hub's storage, refuses a file.`,
      `The address for the file may have expired: the next attempt gets a new one. If it stays, a firewall may block ${host}.`,
    ],
    explainRefusal,
  });
}
