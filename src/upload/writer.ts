import { type CommitOperation, type CommitOutput, commitIter, createRepo } from "@huggingface/hub";
import { z } from "zod";
import { HubAnswer, ProtocolError } from "../hub/answers.js";
import { withRetries } from "../hub/retry.js";
import type { HubSession } from "../hub/session.js";
import type { FileBlob } from "./file-blob.js";
import { createUploadRequests, PLACEHOLDER_TOKEN, type UploadWatcher } from "./requests.js";

/** Whose token it is and what it may do, as far as the Hub tells. */
export interface Account {
  readonly name: string;
  /** The names of the organisations the account is in; null where the Hub doesn't say. */
  readonly organizations: readonly string[] | null;
  /** False where the Hub says that the token can't write. */
  readonly mayWrite: boolean;
}

export interface Commit {
  readonly oid: string;
  readonly url: string;
}

export interface CommitContents {
  readonly title: string;
  readonly files: readonly FileBlob[];
  /** Names of files to delete. */
  readonly remove: readonly string[];
}

export interface CommitWatcher extends UploadWatcher {
  /** How much of a large file is hashed, 0 to 1. */
  onHashed(fileName: string, share: number): void;
}

export interface HubWriter {
  account(): Promise<Account>;
  /** Asks the first question of every commit, which takes write access. */
  probe(repository: string): Promise<void>;
  /** Makes a repository, unless it exists. */
  create(repository: string, isPrivate: boolean): Promise<void>;
  /** A commit holds all files, or doesn't happen. */
  commit(repository: string, contents: CommitContents, watcher: CommitWatcher): Promise<Commit>;
}

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

/** Lets a fine-grained token write to repositories. */
const WRITE_PERMISSION = "repo.write";

/**
 * The Hub as it is written to. The library never sees the token (requests.ts), and sends files by Git LFS, not by Xet:
 * docs/architecture.md says why.
 */
export function createHubWriter(session: HubSession): HubWriter {
  const { connection, retrier, stop } = session;
  const { endpoint } = session.settings;
  const ask = (path: string, init?: RequestInit) =>
    withRetries(retrier, () => connection.fetchApi(`${endpoint}${path}`, init));
  return {
    async account() {
      const account = accountSchema.safeParse(await (await ask("/api/whoami-v2")).json());
      if (!account.success) throw new ProtocolError("unexpected JSON about the account");
      const { name, orgs, auth } = account.data;
      const { role, fineGrained } = auth?.accessToken ?? {};
      const permissions = fineGrained?.scoped.flatMap((scope) => scope.permissions);
      return {
        name,
        organizations: orgs?.map((org) => org.name) ?? null,
        mayWrite: role !== "read" && permissions?.includes(WRITE_PERMISSION) !== false,
      };
    },
    async probe(repository) {
      await ask(`/api/models/${repository}/preupload/main`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ files: [{ path: "README.md", size: 0, sample: "" }] }),
      });
    },
    async create(repository, isPrivate) {
      const silent = { onWanted: () => {}, onBytes: () => {} };
      const { fetch } = createUploadRequests(session, silent);
      const repo = { type: "model", name: repository } as const;
      // Without it the owner's own default holds.
      const visibility = isPrivate ? { visibility: "private" as const } : {};
      try {
        await createRepo({ repo, ...visibility, accessToken: PLACEHOLDER_TOKEN, hubUrl: endpoint, fetch });
      } catch (error) {
        if (!(error instanceof HubAnswer) || error.status !== 409) throw error;
      }
    },
    async commit(repository, { title, files, remove }, watcher) {
      const requests = createUploadRequests(session, watcher);
      const operations: CommitOperation[] = [
        ...files.map((content) => ({ operation: "addOrUpdate" as const, path: content.fileName, content })),
        ...remove.map((path) => ({ operation: "delete" as const, path })),
      ];
      const steps = commitIter({
        repo: { type: "model", name: repository },
        title,
        operations,
        hubUrl: endpoint,
        fetch: requests.fetch,
        abortSignal: stop.signal,
        useXet: false,
      });
      const output = await lastOf(steps, requests.failed, (event) => {
        if (event.event === "fileProgress" && event.state === "hashing")
          watcher.onHashed(event.path, event.progress);
      });
      const commit = commitSchema.safeParse(output?.commit);
      if (!commit.success) throw new ProtocolError("unexpected JSON about the commit");
      return commit.data;
    },
  };
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
