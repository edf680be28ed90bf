/**
 * The Hub as it is written to. The library sees no token, and sends files by Git LFS, not by Xet: docs/architecture.md
 * says why.
 */
import { type CommitOperation, type CommitOutput, commitIter, createRepo } from "@huggingface/hub";
import * as z from "zod";
import { HubAnswer, ProtocolError, parsed } from "../hub/answers.js";
import { type Fetch, isSuccess, type Question } from "../hub/requests.js";
import { withRetries } from "../hub/retry.js";
import type { HubSession } from "../hub/session.js";
import { createLimit } from "../limit.js";
import { sumOf } from "../units.js";
import { FileBlob } from "./file-blob.js";

/** Whose token it is and what it may do, as far as the Hub tells. */
export interface Account {
  readonly name: string;
  /** The organisations the account is in; null where the Hub doesn't say. */
  readonly organizations: readonly string[] | null;
  /** False where the Hub says that the token can't write. */
  readonly mayWrite: boolean;
}

/** Where a commit goes: to a branch, or into a pull request for it. */
export interface CommitBranch {
  readonly revision: string;
  readonly isPullRequest: boolean;
}

export interface CommitContents {
  readonly title: string;
  readonly files: readonly FileBlob[];
  /** Names of files to delete. */
  readonly remove: readonly string[];
}

export interface CommitWatcher {
  /** How much of a large file is hashed, 0 to 1. */
  onHashed(fileName: string, share: number): void;
  /** The Hub lacks large files of so many bytes. */
  onWanted(byteLength: number): void;
  /** More bytes of a file are on their way; a negative number takes some back. */
  onBytes(fileName: string, byteLength: number): void;
}

export type HubWriter = ReturnType<typeof createHubWriter>;

const named = z.object({ name: z.string() });
const scoped = z.object({ permissions: z.array(z.string()) });
const accountSchema = named.extend({
  orgs: z.array(named).optional(),
  auth: z
    .object({
      accessToken: z
        .object({ role: z.string(), fineGrained: z.object({ scoped: z.array(scoped) }).optional() })
        .optional(),
    })
    .optional(),
});
const commitSchema = z.object({ oid: z.string().regex(/^[0-9a-f]{40}$/), url: z.string() });
const actionSchema = z.object({ href: z.string(), header: z.record(z.string(), z.string()).optional() });
const batchSchema = z.object({
  objects: z.array(
    z.object({
      oid: z.string(),
      size: z.number().int().nonnegative(),
      actions: z
        .object({ upload: z.object({ href: z.string() }).optional(), verify: actionSchema.optional() })
        .optional(),
    }),
  ),
});

/** Tells the storage that a file has arrived, so that it looks at it (Git LFS, docs/api/basic-transfers.md). */
interface Verification {
  readonly action: z.output<typeof actionSchema>;
  readonly oid: string;
  readonly size: number;
}

/** Lets a fine-grained token write to repositories. */
const WRITE_PERMISSION = "repo.write";

/** Some functions of the library insist on a token of this form. It is taken out of every request. */
const PLACEHOLDER_TOKEN = "hf_placeholder";

/** Two, so that the line isn't idle while one ends and the next begins. */
const FILES_AT_ONCE = 2;

export function createHubWriter(session: HubSession) {
  const { fetchApi, retrier } = session;
  const { endpoint } = session.settings;
  const ask = (path: string, init?: RequestInit) =>
    withRetries(retrier, () => fetchApi(`${endpoint}${path}`, init));
  return {
    async account(): Promise<Account> {
      const answer = await (await ask("/api/whoami-v2")).json();
      const { name, orgs, auth } = parsed(accountSchema, answer, "the account");
      const { role, fineGrained } = auth?.accessToken ?? {};
      const permissions = fineGrained?.scoped.flatMap((scope) => scope.permissions);
      return {
        name,
        organizations: orgs?.map((org) => org.name) ?? null,
        mayWrite: role !== "read" && permissions?.includes(WRITE_PERMISSION) !== false,
      };
    },
    /** Asks the first question of every commit, which takes write access. */
    async probe(repository: string, { revision, isPullRequest }: CommitBranch): Promise<void> {
      const query = isPullRequest ? "?create_pr=1" : "";
      await ask(`/api/models/${repository}/preupload/${encodeURIComponent(revision)}${query}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ files: [{ path: "README.md", size: 0, sample: "" }] }),
      });
    },
    /** Has the Hub look at the metadata of a model card, which a commit would be refused for. */
    async validateCard(content: string): Promise<void> {
      await ask("/api/validate-yaml", {
        method: "POST",
        headers: { "content-type": "application/json", accept: "text/plain" },
        body: JSON.stringify({ repoType: "model", content }),
      });
    },
    /** Makes a repository, unless it exists. */
    async create(repository: string, isPrivate: boolean): Promise<void> {
      const { fetch } = createUploadRequests(session);
      const repo = { type: "model", name: repository } as const;
      // Without it the owner's own default holds.
      const visibility = isPrivate ? { visibility: "private" as const } : {};
      try {
        await createRepo({ repo, ...visibility, accessToken: PLACEHOLDER_TOKEN, hubUrl: endpoint, fetch });
      } catch (error) {
        if (!(error instanceof HubAnswer) || error.status !== 409) throw error;
      }
    },
    commit: (repository: string, branch: CommitBranch, contents: CommitContents, watcher: CommitWatcher) =>
      commit(session, repository, branch, contents, watcher),
  };
}

/** A commit holds all files, or doesn't happen. */
async function commit(
  session: HubSession,
  repository: string,
  { revision, isPullRequest }: CommitBranch,
  { title, files, remove }: CommitContents,
  watcher: CommitWatcher,
) {
  const requests = createUploadRequests(session, watcher);
  const operations: CommitOperation[] = [
    ...files.map((content) => ({ operation: "addOrUpdate" as const, path: content.fileName, content })),
    ...remove.map((path) => ({ operation: "delete" as const, path })),
  ];
  const steps = commitIter({
    ...{ repo: { type: "model", name: repository }, branch: revision, isPullRequest, title, operations },
    ...{ hubUrl: session.settings.endpoint, fetch: requests.fetch, useXet: false },
    abortSignal: session.stop.signal,
  });
  const output = await lastOf(steps, requests.failed, (event) => {
    if (event.event === "fileProgress" && event.state === "hashing")
      watcher.onHashed(event.path, event.progress);
  });
  const made = parsed(commitSchema, output?.commit, "the commit");
  return { ...made, pullRequestUrl: output?.pullRequestUrl ?? null };
}

/** Goes through the library's steps. A request that failed ends them: the library may lose it and wait for ever. */
async function lastOf<Step>(
  steps: AsyncGenerator<Step, CommitOutput | undefined>,
  failed: Promise<never>,
  onStep: (step: Step) => void,
): Promise<CommitOutput | undefined> {
  for (;;) {
    const step = await Promise.race([steps.next(), failed]);
    if (step.done === true) return step.value;
    onStep(step.value);
  }
}

/** A file that is being sent, perhaps in parts. */
interface SendingFile {
  /** Resolves when it is the file's turn, with what ends it. */
  readonly turn: Promise<() => void>;
  bytesLeft: number;
}

/**
 * Sends the bytes of files to the storage. Large files are sent a few at a time, in order, so that an interrupted upload
 * has sent whole files.
 */
function createStorageRequests({ retrier, settings, ask, answerOf }: HubSession, watcher?: CommitWatcher) {
  const files = createLimit(FILES_AT_ONCE);
  const sending = new Map<string, SendingFile>();
  const needsHttps = new URL(settings.endpoint).protocol === "https:";
  return async (url: URL, init: RequestInit, blob: FileBlob): Promise<Response> => {
    // As for redirects: an answer leads to the web only, and not from HTTPS to HTTP.
    if (!/^https?:$/.test(url.protocol) || (needsHttps && url.protocol === "http:")) {
      throw new ProtocolError(`storage at ${url.protocol}//${url.host}`);
    }
    const { fileName } = blob;
    const file = sending.get(fileName) ?? { turn: files.enter(), bytesLeft: blob.file.byteLength };
    sending.set(fileName, file);
    const endTurn = await file.turn;
    const answer = await withRetries(retrier, async () => {
      let sent = 0;
      const body = blob.watched((byteLength) => {
        sent += byteLength;
        watcher?.onBytes(fileName, byteLength);
      });
      try {
        const got = await ask(url, { ...init, body } as Question);
        await got.end();
        if (!isSuccess(got)) throw answerOf(got);
        return new Response(null, { status: 200, headers: got.headers });
      } catch (error) {
        watcher?.onBytes(fileName, -sent);
        throw error;
      }
    });
    file.bytesLeft -= blob.size;
    if (file.bytesLeft > 0) return answer;
    sending.delete(fileName);
    endTurn();
    return answer;
  };
}

/** Asks the Hub itself, and between its answers tells the storage of the files that have arrived. */
function createHubRequests({ retrier, fetchApi }: HubSession, watcher?: CommitWatcher) {
  const unverified: Verification[] = [];
  /** The library leaves it out. */
  async function verify({ action, oid, size }: Verification): Promise<void> {
    const headers = { ...action.header, "content-type": "application/vnd.git-lfs+json" };
    const body = JSON.stringify({ oid, size });
    await withRetries(retrier, () => fetchApi(action.href, { method: "POST", headers, body }));
  }

  return async (url: URL, init: RequestInit): Promise<Response> => {
    if (/\/commit\/[^/]+$/.test(url.pathname)) for (const each of unverified.splice(0)) await verify(each);
    const answer = await withRetries(retrier, () => fetchApi(url, init));
    if (!url.pathname.endsWith("/info/lfs/objects/batch")) return answer;
    const { objects } = parsed(batchSchema, await answer.clone().json(), "the files that are wanted");
    const wanted = objects.filter(({ actions }) => actions?.upload !== undefined);
    for (const { oid, size, actions } of wanted)
      if (actions?.verify !== undefined) unverified.push({ action: actions.verify, oid, size });
    watcher?.onWanted(sumOf(wanted, ({ size }) => size));
    return answer;
  };
}

/**
 * Makes the library's requests, again where they fail for a while. The token goes to the Hub alone. `failed` rejects with
 * the first failure of a request, also where the library loses it.
 */
function createUploadRequests(
  session: HubSession,
  watcher?: CommitWatcher,
): { readonly fetch: Fetch; readonly failed: Promise<never> } {
  const [put, ask] = [createStorageRequests(session, watcher), createHubRequests(session, watcher)];
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  // Perhaps nobody waits for it.
  failed.catch(() => {});
  const fetch: Fetch = async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init.headers);
    if (headers.get("authorization") === `Bearer ${PLACEHOLDER_TOKEN}`) headers.delete("authorization");
    try {
      const own = { ...init, headers };
      return await (init.body instanceof FileBlob ? put(url, own, init.body) : ask(url, own));
    } catch (error) {
      fail(error);
      throw error;
    }
  };
  return { failed, fetch };
}
