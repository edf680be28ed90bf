/**
 * In: where something is to be sent, and the settings. Out: a connection that may, or the error that says why not.
 * Guards: whatever can be found out without sending is found out here, before hours of work; nothing is changed.
 */
import { ApplyDeltaError } from "../errors.js";
import { HubAnswer } from "../hub/answers.js";
import { connectToHub } from "../hub/connection.js";
import { createHub, type HubListing } from "../hub/hub.js";
import { completeHubSettings, type HubOptions, type HubSettings } from "../hub/hub-settings.js";
import { DEFAULT_REVISION, parseHubReference } from "../hub/reference.js";
import { createRetrier, describeWait, withRetries } from "../hub/retry.js";
import { readToken } from "../hub/token.js";
import { Interruption } from "../interrupt.js";
import type { Reporter } from "../progress.js";
import { describeUploadError, tokensPage } from "./explain-error.js";
import { type Account, createHubWriter, type HubWriter } from "./writer.js";

export interface UploadDestination {
  /** `owner/name` on the Hub. */
  readonly repository: string;
  /** Whether the repository must be private; it is made so where it isn't there. */
  readonly isPrivate: boolean;
  readonly hub?: HubOptions | undefined;
}

export interface UploadAccess {
  readonly repository: string;
  readonly endpoint: string;
  /** What the repository holds; null where it isn't there yet. */
  readonly listing: HubListing | null;
  readonly writer: HubWriter;
  /** Asks again. */
  relist(this: void): Promise<HubListing | null>;
}

/** The Hub may take its time to put a large file together, or a commit. */
const ANSWER_PATIENCE = 12;

/**
 * Runs `body` with access, and ends all connections afterwards. Errors: `bad-usage`, `bad-token`, `no-upload-token`,
 * `upload-token-refused`, `upload-denied`, `repository-public`, `upload-unreachable`, `upload-rate-limited`,
 * `upload-failed`, `interrupted`.
 */
export async function withUploadAccess<T>(
  destination: UploadDestination,
  { reporter, signal }: { readonly reporter: Reporter; readonly signal?: AbortSignal | undefined },
  body: (access: UploadAccess) => Promise<T>,
): Promise<T> {
  const settings = completeHubSettings(destination.hub);
  const { endpoint, transfer } = settings;
  const repository = readDestination(destination, settings);
  const token = readToken(settings) ?? throwNoToken(settings);
  // What one failure leaves under way ends with the connections.
  const stop = new AbortController();
  const anyStop = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const connection = connectToHub(settings, token, {
    signal: anyStop,
    answerMs: ANSWER_PATIENCE * transfer.stallMs,
  });
  const retrier = createRetrier(transfer, {
    signal: anyStop,
    onWait: (error, delayMs) => reporter.detail(describeWait(error, delayMs)),
  });
  const writer = createHubWriter(connection, { endpoint, retrier, signal: anyStop });
  try {
    judgeAccount(await writer.account(), repository, endpoint);
    const hub = createHub(settings, connection);
    const list = () => hub.list({ repository, revision: DEFAULT_REVISION });
    const relist = () => withRetries(retrier, list).catch(noneWhereMissing);
    const listing = await relist();
    if (listing !== null) {
      judgeRepository(listing, repository, destination);
      await writer.probe(repository);
    }
    return await body({ repository, endpoint, listing, writer, relist });
  } catch (error) {
    if (signal?.aborted === true) {
      throw new Interruption(
        "nothing was committed to the repository",
        "Run the same command again: files that arrived whole aren't sent again.",
      );
    }
    throw describeUploadError(error, { repository, endpoint });
  } finally {
    stop.abort();
    await connection.close();
  }
}

function readDestination({ repository }: UploadDestination, { offline }: HubSettings): string {
  const read = repository.includes("@") ? null : parseHubReference(repository);
  if (read === null) {
    throw new ApplyDeltaError("bad-usage", "This can't be a repository on the Hub to send to.", {
      got: repository,
      expected: "owner/name: letters, digits, -, _ and ., 96 characters at most",
      hint: "The owner is your account on the Hub, or an organisation you are in.",
    });
  }
  if (offline) {
    throw new ApplyDeltaError("bad-usage", "Nothing can be sent to the Hub offline.", {
      got: `an upload to ${read.repository}, and --offline or HF_HUB_OFFLINE`,
      hint: "Leave one of them out.",
    });
  }
  return read.repository;
}

function throwNoToken({ endpoint, tokenFile }: HubSettings): never {
  throw new ApplyDeltaError("no-upload-token", "Sending to the Hub takes a token, and there is none.", {
    ...(tokenFile === null ? {} : { file: tokenFile }),
    expected: "a token with the right to write",
    hint: `Make one at ${tokensPage(endpoint)} and set HF_TOKEN, or log in with \`hf auth login\`.`,
  });
}

/** What the Hub tells of a token rules some repositories out. What it doesn't tell is no ground to refuse. */
function judgeAccount(
  { name, organizations, mayWrite }: Account,
  repository: string,
  endpoint: string,
): void {
  const owner = repository.slice(0, repository.indexOf("/"));
  if (!mayWrite) {
    throw new ApplyDeltaError("upload-denied", "The token may only read.", {
      file: repository,
      expected: "a token with the right to write",
      got: `a token of ${name} without it`,
      hint: `Make one at ${tokensPage(endpoint)} and set HF_TOKEN.`,
    });
  }
  const isTheirs = (known: string) => known.toLowerCase() === owner.toLowerCase();
  if (organizations === null || [name, ...organizations].some(isTheirs)) return;
  throw new ApplyDeltaError("upload-denied", "The repository would belong to somebody else.", {
    file: repository,
    expected: `an owner the token stands for: ${[name, ...organizations].join(", ")}`,
    got: owner,
    hint: "Check the name for a typo, or use a token of an account that is in the organisation.",
  });
}

function judgeRepository(
  { name, isPrivate }: HubListing,
  repository: string,
  destination: UploadDestination,
): void {
  if (name !== null && name !== repository) {
    throw new ApplyDeltaError("bad-usage", "The repository is called otherwise now.", {
      got: repository,
      expected: name,
      hint: "Give that name, if it is the one you mean.",
    });
  }
  if (destination.isPrivate && isPrivate === false) {
    throw new ApplyDeltaError("repository-public", "The repository is public, and --private was asked for.", {
      file: repository,
      hint: "Make it private in its settings on the Hub, or leave --private out.",
    });
  }
}

/** A repository that isn't there will be made; one without a commit is empty. */
function noneWhereMissing(error: unknown): null {
  const isMissing = error instanceof HubAnswer && error.status === 404;
  if (isMissing || (error instanceof HubAnswer && error.errorCode === "RepoNotFound")) return null;
  throw error;
}
