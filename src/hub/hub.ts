/**
 * In: a connection. Out: the Hub as it is read: what a repository holds, and its files read at offsets.
 * Guards: a read gives the bytes of the range that was asked for, or fails; the library never sees the token
 * (requests.ts adds it) and never prints.
 */
import { downloadFile, fileDownloadInfo, HubApiError, listFiles, modelInfo } from "@huggingface/hub";
import { z } from "zod";
import { ApplyDeltaError } from "../errors.js";
import { HubAnswer, mayPass, OddAnswer } from "./answers.js";
import { boundedBody } from "./bounded-body.js";
import type { HubConnection } from "./connection.js";
import type { HubSettings } from "./hub-settings.js";
import type { HubReference } from "./reference.js";
import type { Fetch } from "./requests.js";

/** A file of a repository, as its tree lists it. */
export interface HubEntry {
  /** Its path in the repository. Not to be trusted as a path here. */
  readonly path: string;
  readonly byteLength: number;
  /** What its blob is called in the cache: the SHA-256 of an LFS file, git's SHA-1 of any other. */
  readonly etag: string;
  /** Whether it lies in Xet storage. */
  readonly isXet: boolean;
}

export interface HubListing {
  readonly commit: string;
  readonly entries: readonly HubEntry[];
  /** What the Hub calls it now: another name where it was renamed. */
  readonly name: string | null;
  readonly isPrivate: boolean | null;
}

/** A file on the Hub. */
export interface RemoteFile {
  /** Asks for one byte, to learn whether there is access. */
  probe(): Promise<void>;
  /** The bytes from `start` to before `end`, as they come in. One attempt; an end before `end` is an error. */
  read(start: number, end: number): AsyncGenerator<Uint8Array>;
}

export interface Hub {
  /** The commit of a revision and the files in its top folder. */
  list(reference: HubReference): Promise<HubListing>;
  file(repository: string, commit: string, entry: HubEntry): RemoteFile;
}

const digest = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
const kindSchema = z.object({ type: z.string() });
const entrySchema = z.object({
  type: z.string(),
  path: z.string(),
  size: z.number().int().nonnegative(),
  oid: digest,
  lfs: z.object({ oid: digest, size: z.number().int().nonnegative() }).optional(),
  xetHash: z.string().optional(),
});
const infoSchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  name: z.string().optional(),
  private: z.boolean().optional(),
});

/** What a page lists, 1000 files at most; stops a list that leads from page to page for ever. */
const MOST_PAGES = 100;

export function createHub(settings: HubSettings, connection: HubConnection): Hub {
  const { endpoint } = settings;
  const { fetchApi } = connection;
  return {
    async list({ repository, revision }) {
      const asked = { name: repository, revision, additionalFields: ["sha" as const] };
      const info = await modelInfo({ ...asked, hubUrl: endpoint, fetch: fetchApi });
      const { sha: commit, name = null, private: isPrivate = null } = parsed(infoSchema, info);
      const entries: HubEntry[] = [];
      let pages = 0;
      const fetchPage: Fetch = (input, init) => {
        if (++pages > MOST_PAGES) throw new OddAnswer(`more than ${MOST_PAGES} pages of files`);
        return fetchApi(input, init);
      };
      const repo = { type: "model", name: repository } as const;
      for await (const item of listFiles({ hubUrl: endpoint, fetch: fetchPage, repo, revision: commit })) {
        if (parsed(kindSchema, item).type !== "file") continue;
        const { path, size, oid, lfs, xetHash } = parsed(entrySchema, item);
        const [byteLength, etag] = [lfs?.size ?? size, lfs?.oid ?? oid];
        entries.push({ path, byteLength, etag, isXet: xetHash !== undefined });
      }
      return { commit, entries, name, isPrivate };
    },
    file: (repository, commit, entry) => remoteFile({ repository, commit, entry, settings, connection }),
  };
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new OddAnswer(`unexpected JSON at ${result.error.issues[0]?.path.join(".") ?? "its top"}`);
}

interface RemoteContext {
  readonly repository: string;
  readonly commit: string;
  readonly entry: HubEntry;
  readonly settings: HubSettings;
  readonly connection: HubConnection;
}

function remoteFile(context: RemoteContext): RemoteFile {
  const { repository, commit, entry, settings } = context;
  const { fetchAny, fetchApi, fetchBounded, answerOf } = context.connection;
  const { endpoint } = settings;
  const { stallMs } = settings.transfer;
  const repo = { type: "model", name: repository } as const;
  const path = entry.path.split("/").map(encodeURIComponent).join("/");
  const resolveUrl = `${endpoint}/${repository}/resolve/${commit}/${path}`;
  let isXet = settings.useXet && entry.isXet;
  let info: ReturnType<typeof fileDownloadInfo> | undefined;
  const locate = async () => {
    info ??= fileDownloadInfo({ repo, path, revision: commit, hubUrl: endpoint, fetch: fetchApi });
    try {
      return await info;
    } catch (error) {
      info = undefined;
      throw error;
    }
  };
  /** Where the last redirect led: an address that is signed for a while. */
  let location: string | null = null;
  /** What the server of the file's bytes called their state when it first gave some. */
  let state: { readonly origin: string; readonly etag: string } | null = null;

  async function request(range: string): Promise<Response> {
    const answer = await fetchAny(location ?? resolveUrl, { headers: { range } });
    if (answer.ok) {
      location = answer.url;
      return answer;
    }
    await answer.body?.cancel();
    const hasExpired = location !== null && answer.status < 500 && answer.status !== 429;
    location = null;
    if (hasExpired) return request(range);
    throw answerOf(answer);
  }

  /** A commit never changes; a server that gives one file now and another then is at fault. */
  function checkState({ url, headers }: Response): void {
    const { origin } = new URL(url);
    const etag = headers.get("etag");
    // Weak ones tell of a meaning, not of bytes.
    if (etag === null || etag.startsWith("W/")) return;
    if (state?.origin !== origin) state = { origin, etag };
    if (state.etag === etag) return;
    throw new ApplyDeltaError("source-changed", "The file was changed on the Hub while it was read.", {
      file: `${repository}/${entry.path}`,
      expected: `ETag ${state.etag}`,
      got: `ETag ${etag}`,
      hint: "Run the same command again; if it stays so, tell the repository's owner.",
    });
  }

  async function* readPlain(start: number, end: number): AsyncGenerator<Uint8Array> {
    const answer = await request(`bytes=${start}-${end - 1}`);
    checkRange(answer, start, end, entry);
    checkState(answer);
    const early = Object.assign(new Error("the answer ended early"), { code: "ECONNRESET" });
    yield* exactly(boundedBody(answer.body, { stallMs }), end - start, early);
  }

  async function* readXet(start: number, end: number): AsyncGenerator<Uint8Array> {
    const downloadInfo = await locate();
    // Serial: a range of ours is a request's worth, and several are under way already.
    const options = { repo, path, revision: commit, hubUrl: endpoint, fetch: fetchBounded };
    const blob =
      downloadInfo?.xet === undefined
        ? null
        : await downloadFile({ ...options, downloadInfo, parallelDownloads: false });
    if (blob === null) throw new OddAnswer("no Xet address for a file in Xet storage");
    // The library passes on what breaks; an end that comes early is what the storage says of the file.
    const early = new OddAnswer("less than was asked for");
    yield* exactly(blob.slice(start, end).stream(), end - start, early);
  }

  return {
    async probe() {
      const answer = await request("bytes=0-0");
      await answer.body?.cancel();
    },
    async *read(start, end) {
      let at = start;
      if (isXet) {
        try {
          for await (const bytes of readXet(start, end)) {
            at += bytes.length;
            yield bytes;
          }
          return;
        } catch (caught) {
          const error =
            caught instanceof HubApiError ? new HubAnswer(caught.statusCode, null, null, null) : caught;
          if (mayPass(error)) throw error;
          // The Hub serves every such file over plain HTTP as well.
          isXet = false;
        }
      }
      yield* readPlain(at, end);
    },
  };
}

/** 206 with the very range, or 200 where the range begins at the file's first byte. */
function checkRange({ status, headers }: Response, start: number, end: number, entry: HubEntry): void {
  if (status === 200 && start === 0) return;
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get("content-range") ?? "");
  if (status === 200) throw new OddAnswer("the whole file for a part of it: what answers knows no ranges");
  if (status !== 206 || range === null) throw new OddAnswer(`status ${status} for a part of a file`);
  const [first, last, total] = range.slice(1).map(Number);
  if (total !== entry.byteLength) {
    throw new ApplyDeltaError("download-damaged", "The Hub gives a file of another size than it lists.", {
      file: entry.path,
      expected: `${entry.byteLength} bytes`,
      got: `${total} bytes`,
      hint: "Try again later; if it stays so, tell the repository's owner.",
    });
  }
  if (first !== start || last !== end - 1) throw new OddAnswer("another part of a file than was asked for");
}

/** `byteLength` bytes and no more; `early` is thrown where the stream ends before. */
async function* exactly(
  stream: AsyncIterable<Uint8Array>,
  byteLength: number,
  early: Error,
): AsyncGenerator<Uint8Array> {
  let left = byteLength;
  for await (const bytes of stream) {
    const part = bytes.subarray(0, left);
    left -= part.length;
    if (part.length > 0) yield part;
    // Only a server without ranges sends more. An answer that was read to its end leaves a connection to use again.
    if (part.length < bytes.length) return;
  }
  if (left > 0) throw early;
}
