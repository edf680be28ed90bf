import { downloadFile, fileDownloadInfo, HubApiError } from "@huggingface/hub";
import { ApplyDeltaError } from "../errors.js";
import { HubAnswer, isTransient, ProtocolError } from "./answers.js";
import type { RepositoryCache } from "./cache.js";
import { explainReadError } from "./explain-error.js";
import type { HubEntry } from "./listing.js";
import type { WantedModel } from "./reference.js";
import { boundedBody } from "./requests.js";
import { withRetries } from "./retry.js";
import type { HubSession } from "./session.js";

/**
 * A connection that brings less before it breaks has failed, so that one that gives a byte each time is given up as
 * one that gives none.
 */
const MEANINGFUL_BYTES = 16 * 1024;

/** One commit of a repository, and where the cache has it. */
export interface Snapshot {
  readonly wanted: WantedModel;
  readonly cache: RepositoryCache;
  readonly commit: string;
}

/** A file of one commit, read at offsets. Failed requests are tried again; what they end in is a typed error. */
export class HubFile {
  bytesFetched = 0;
  /** Where the last redirect led: an address that is signed for a while. */
  #location: string | null = null;
  /** What the server of the bytes called their state when it first gave some. */
  #served: { readonly origin: string; readonly etag: string } | null = null;
  #isXet: boolean;
  #xetInfo: ReturnType<typeof fileDownloadInfo> | undefined;

  constructor(
    readonly session: HubSession,
    readonly snapshot: Snapshot,
    readonly entry: HubEntry,
  ) {
    this.#isXet = session.settings.useXet && entry.isXet;
  }

  /** Its name in messages. */
  get path(): string {
    return `${this.snapshot.wanted.repository}/${this.entry.path}`;
  }

  /** Where the cache has it, once it is whole. */
  get blobPath(): string {
    return this.snapshot.cache.blobPath(this.entry.etag);
  }

  /** Asks for one byte, to learn whether there is access. */
  async probe(): Promise<void> {
    const { retrier } = this.session;
    const answer = await withRetries(retrier, () => this.#request("bytes=0-0")).catch(this.#explain);
    await answer.body?.cancel();
  }

  /** Streams the bytes from `start` to before `end`, going on where a connection broke. */
  async *read(start: number, end: number): AsyncGenerator<Uint8Array> {
    const { retrier } = this.session;
    let at = start;
    for (let failures = 0; at < end; ) {
      await retrier.ready();
      const from = at;
      try {
        for await (const bytes of this.#attempt(at, end)) {
          at += bytes.length;
          this.bytesFetched += bytes.length;
          if (at - from >= MEANINGFUL_BYTES) failures = 0;
          retrier.succeeded();
          yield bytes;
        }
      } catch (error) {
        await retrier.afterFailure(error, ++failures).catch(this.#explain);
      }
    }
  }

  readonly #explain = (error: unknown): never => {
    throw explainReadError(error, this.snapshot.wanted, this.session, this.path);
  };

  /** An end before `end` is an error. */
  async *#attempt(start: number, end: number): AsyncGenerator<Uint8Array> {
    let at = start;
    if (this.#isXet) {
      try {
        for await (const bytes of this.#readXet(start, end)) {
          at += bytes.length;
          yield bytes;
        }
        return;
      } catch (caught) {
        const error =
          caught instanceof HubApiError ? new HubAnswer(caught.statusCode, null, null, null) : caught;
        if (isTransient(error)) throw error;
        // The Hub serves every such file over plain HTTP as well.
        this.#isXet = false;
      }
    }
    yield* this.#readPlain(at, end);
  }

  async *#readPlain(start: number, end: number): AsyncGenerator<Uint8Array> {
    const answer = await this.#request(`bytes=${start}-${end - 1}`);
    checkRange(answer, start, end, this.entry);
    this.#checkState(answer);
    const early = Object.assign(new Error("the answer ended early"), { code: "ECONNRESET" });
    const { stallMs } = this.session.settings.transfer;
    yield* exactly(boundedBody(answer.body, stallMs), end - start, early);
  }

  async *#readXet(start: number, end: number): AsyncGenerator<Uint8Array> {
    const { fetchApi, fetchBounded, settings } = this.session;
    const { wanted, commit } = this.snapshot;
    const library = {
      repo: { type: "model", name: wanted.repository } as const,
      path: this.#encodedPath,
      revision: commit,
      hubUrl: settings.endpoint,
    };
    this.#xetInfo ??= fileDownloadInfo({ ...library, fetch: fetchApi }).catch((error) => {
      this.#xetInfo = undefined;
      throw error;
    });
    const downloadInfo = await this.#xetInfo;
    // Serial: a range of ours is a request's worth, and several are under way already.
    const options = { ...library, fetch: fetchBounded, parallelDownloads: false };
    const blob = downloadInfo?.xet === undefined ? null : await downloadFile({ ...options, downloadInfo });
    if (blob === null) throw new ProtocolError("no Xet address for a file in Xet storage");
    // The library passes on broken connections, so an early end is a wrong length in the storage.
    const early = new ProtocolError("less than was asked for");
    yield* exactly(blob.slice(start, end).stream(), end - start, early);
  }

  get #encodedPath(): string {
    return this.entry.path.split("/").map(encodeURIComponent).join("/");
  }

  async #request(range: string): Promise<Response> {
    const { settings, fetchAny, answerOf } = this.session;
    const { wanted, commit } = this.snapshot;
    const resolveUrl = `${settings.endpoint}/${wanted.repository}/resolve/${commit}/${this.#encodedPath}`;
    const known = this.#location;
    const answer = await fetchAny(known ?? resolveUrl, { headers: { range } });
    if (answer.ok) {
      this.#location = answer.url;
      return answer;
    }
    await answer.body?.cancel();
    // Another request may have found out in the meantime, and have a new address already.
    if (this.#location === known) this.#location = null;
    const hasExpired = known !== null && answer.status < 500 && answer.status !== 429;
    if (hasExpired) return this.#request(range);
    throw answerOf(answer);
  }

  /** A commit never changes; a server that gives one file now and another then is at fault. */
  #checkState({ url, headers }: Response): void {
    const { origin } = new URL(url);
    const etag = headers.get("etag");
    // Weak ones stand for a meaning, not for bytes.
    if (etag === null || etag.startsWith("W/")) return;
    if (this.#served?.origin !== origin) this.#served = { origin, etag };
    if (this.#served.etag === etag) return;
    throw new ApplyDeltaError("source-changed", "The file changed on the Hub while it was read.", {
      file: this.path,
      expected: `ETag ${this.#served.etag}`,
      got: `ETag ${etag}`,
      hint: "Run the same command again. If the error stays, tell the repository's owner.",
    });
  }
}

/** 206 with the very range, or 200 where the range begins at the file's first byte. */
function checkRange({ status, headers }: Response, start: number, end: number, entry: HubEntry): void {
  if (status === 200 && start === 0) return;
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get("content-range") ?? "");
  if (status === 200) throw new ProtocolError("the whole file instead of a range");
  if (status !== 206 || range === null) throw new ProtocolError(`status ${status} for a range`);
  const [first, last, total] = range.slice(1).map(Number);
  if (total !== entry.byteLength) {
    throw new ApplyDeltaError("download-damaged", "The Hub sends a file of another size than it lists.", {
      file: entry.path,
      expected: `${entry.byteLength} bytes`,
      got: `${total} bytes`,
      hint: "Try again later. If the error stays, tell the repository's owner.",
    });
  }
  if (first !== start || last !== end - 1) throw new ProtocolError("another range than was asked for");
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
