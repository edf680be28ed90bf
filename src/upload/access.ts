/** Finds out before hours of work whether an upload may succeed. Changes nothing on the Hub. */
import { ApplyDeltaError } from "../errors.js";
import { HubAnswer } from "../hub/answers.js";
import { completeHubSettings, type HubOptions, type HubSettings } from "../hub/hub-settings.js";
import { type HubListing, listRepository } from "../hub/listing.js";
import { DEFAULT_REVISION, parseHubReference } from "../hub/reference.js";
import { withRetries } from "../hub/retry.js";
import { openSession, type SessionOptions } from "../hub/session.js";
import { Interruption } from "../interrupt.js";
import { explainUploadError, tokensPage } from "./explain-error.js";
import { type Account, createHubWriter, type HubWriter } from "./writer.js";

export interface UploadDestination {
  /** `owner/name` on the Hub. */
  readonly repository: string;
  /** Whether the repository must be private; a new one is made so. */
  readonly isPrivate: boolean;
  readonly hub?: HubOptions | undefined;
}

export interface UploadAccess {
  readonly repository: string;
  readonly endpoint: string;
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
  destination: UploadDestination,
  options: SessionOptions,
  body: (access: UploadAccess) => Promise<T>,
): Promise<T> {
  const settings = completeHubSettings(destination.hub);
  const { endpoint, transfer } = settings;
  const repository = readDestination(destination, settings);
  const session = openSession(settings, { ...options, answerMs: ANSWER_PATIENCE * transfer.stallMs });
  const writer = createHubWriter(session);
  const relist = () =>
    withRetries(session.retrier, () =>
      listRepository(session, { repository, revision: DEFAULT_REVISION }),
    ).catch(noneWhereMissing);
  try {
    if (!session.hasToken) throw noToken(settings);
    judgeAccount(await writer.account(), repository, endpoint);
    const listing = await relist();
    if (listing !== null) {
      judgeRepository(listing, repository, destination);
      await writer.probe(repository);
    }
    return await body({ repository, endpoint, listing, writer, relist });
  } catch (error) {
    if (options.signal?.aborted === true) {
      throw new Interruption(
        "nothing was committed to the repository",
        "Run the same command again: files that arrived whole aren't sent again.",
      );
    }
    throw explainUploadError(error, { repository, endpoint });
  } finally {
    await session.close();
  }
}

function readDestination({ repository }: UploadDestination, { offline }: HubSettings): string {
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

function noToken({ endpoint, tokenFile }: HubSettings): ApplyDeltaError {
  return new ApplyDeltaError("no-upload-token", "The upload needs a token, and none is set.", {
    ...(tokenFile === null ? {} : { file: tokenFile }),
    expected: "a token with write access",
    hint: `Create one at ${tokensPage(endpoint)} and set HF_TOKEN, or log in with \`hf auth login\`.`,
  });
}

/** Refuses where the Hub says that the token can't write there; silence is no reason to refuse. */
function judgeAccount(
  { name, organizations, mayWrite }: Account,
  repository: string,
  endpoint: string,
): void {
  const owner = repository.slice(0, repository.indexOf("/"));
  if (!mayWrite) {
    throw new ApplyDeltaError("upload-denied", "The token has no write access.", {
      file: repository,
      expected: "a token with write access",
      got: `a read-only token of ${name}`,
      hint: `Create one at ${tokensPage(endpoint)} and set HF_TOKEN.`,
    });
  }
  const isTheirs = (known: string) => known.toLowerCase() === owner.toLowerCase();
  if (organizations === null || [name, ...organizations].some(isTheirs)) return;
  throw new ApplyDeltaError("upload-denied", "The token can't write to this owner's repositories.", {
    file: repository,
    expected: `one of ${[name, ...organizations].join(", ")}`,
    got: owner,
    hint: "Check the owner for a typo, or use a token of an account in that organisation.",
  });
}

function judgeRepository(
  { name, isPrivate }: HubListing,
  repository: string,
  destination: UploadDestination,
): void {
  if (name !== null && name !== repository) {
    throw new ApplyDeltaError("bad-usage", "The repository has been renamed.", {
      got: repository,
      expected: name,
      hint: "If you mean that one, give its new name.",
    });
  }
  if (destination.isPrivate && isPrivate === false) {
    throw new ApplyDeltaError(
      "repository-public",
      "The repository is public, but you asked for a private one.",
      {
        file: repository,
        hint: "Make it private in its settings on the Hub, or leave out --private.",
      },
    );
  }
}

/** A missing repository will be made; one without a commit is empty. */
function noneWhereMissing(error: unknown): null {
  const isMissing = error instanceof HubAnswer && error.status === 404;
  if (isMissing || (error instanceof HubAnswer && error.errorCode === "RepoNotFound")) return null;
  throw error;
}
