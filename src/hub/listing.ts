import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { listFiles, modelInfo } from "@huggingface/hub";
import * as z from "zod";
import { Budget } from "../budget.js";
import { openLocalFile } from "../files/local-file.js";
import { type Sha256Options, sha256Files } from "../workers/sha256.js";
import { ProtocolError, parsed } from "./answers.js";
import type { HubReference } from "./reference.js";
import type { Fetch } from "./requests.js";
import type { HubSession } from "./session.js";

/** A file of a repository, as its tree lists it. */
export interface HubEntry {
  /** Its path in the repository. Not to be trusted as a path here. */
  readonly path: string;
  readonly byteLength: number;
  /** The name of its blob in the cache: the SHA-256 of an LFS file, git's SHA-1 of any other. */
  readonly etag: string;
  /** Whether it lies in Xet storage. */
  readonly isXet: boolean;
}

export interface HubListing {
  readonly commit: string;
  readonly entries: readonly HubEntry[];
  /** Names of the folders in the top folder. */
  readonly folders: readonly string[];
  /** The repository's present name, which differs once it was renamed; null where the Hub doesn't say. */
  readonly name: string | null;
  readonly isPrivate: boolean | null;
}

const digest = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
const kindSchema = z.object({ type: z.string(), path: z.string() });
const contentSchema = z.object({ oid: digest, size: z.int().nonnegative() });
const entrySchema = contentSchema.extend({
  path: z.string(),
  lfs: contentSchema.optional(),
  xetHash: z.string().optional(),
});
const infoSchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  name: z.string().optional(),
  private: z.boolean().optional(),
});

/** A page lists up to 1000 files; stops a list that leads from page to page for ever. */
const MOST_PAGES = 100;

/** Asks for the commit of a revision and what is in its top folder. One attempt. */
export async function listRepository(session: HubSession, reference: HubReference): Promise<HubListing> {
  const {
    settings: { endpoint },
    fetchApi,
  } = session;
  const { repository, revision } = reference;
  const asked = { name: repository, revision, additionalFields: ["sha" as const] };
  const info = await modelInfo({ ...asked, hubUrl: endpoint, fetch: fetchApi });
  const { sha: commit, name = null, private: isPrivate = null } = parsed(infoSchema, info, "the repository");
  return { commit, name, isPrivate, ...(await listFolder(session, { repository, revision: commit })) };
}

/** Asks for what is in a folder of a commit; by default the top folder. One attempt. */
export async function listFolder(
  { settings: { endpoint }, fetchApi }: HubSession,
  { repository, revision }: HubReference,
  folder?: string,
): Promise<Pick<HubListing, "entries" | "folders">> {
  const entries: HubEntry[] = [];
  const folders: string[] = [];
  let pages = 0;
  const budget = new Budget();
  const fetchPage: Fetch = async (input, init) => {
    if (++pages > MOST_PAGES) throw new ProtocolError(`more than ${MOST_PAGES} pages of files`);
    const answer = await fetchApi(input, init);
    const text = await answer.text();
    budget.spend("listingBytes", text.length, repository);
    return new Response(text, { headers: answer.headers });
  };
  const repo = { type: "model", name: repository } as const;
  const where = { hubUrl: endpoint, fetch: fetchPage, repo, revision, ...(folder && { path: folder }) };
  for await (const item of listFiles(where)) {
    budget.spend("entries", 1, repository);
    const { type, path: folderPath } = parsed(kindSchema, item, "a file");
    if (type === "directory") folders.push(folderPath);
    if (type !== "file") continue;
    const { path, size, oid, lfs, xetHash } = parsed(entrySchema, item, "a file");
    const { size: byteLength, oid: etag } = lfs ?? { size, oid };
    entries.push({ path, byteLength, etag, isXet: xetHash !== undefined });
  }
  return { entries, folders };
}

/**
 * The digest that a local file has on the Hub: SHA-256 for LFS files, in a thread; for others git's name of a blob, a
 * SHA-1 of a head and the content.
 */
export async function digestOf(
  path: string,
  { etag, byteLength }: HubEntry,
  options: Sha256Options = {},
): Promise<string> {
  if (etag.length === 64) {
    const file = openLocalFile(path);
    try {
      const [digest] = await sha256Files([file], options);
      return file.byteLength === byteLength ? (digest?.sha256 ?? "") : `${file.byteLength} bytes`;
    } finally {
      file.close();
    }
  }
  const sum = createHash("sha1").update(`blob ${byteLength}\0`);
  for await (const bytes of createReadStream(path)) sum.update(bytes as Buffer);
  return sum.digest("hex");
}
