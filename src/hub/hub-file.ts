import { join } from "node:path";
import { downloadFile, fileDownloadInfo, HubApiError } from "@huggingface/hub";
import { ApplyDeltaError } from "../errors.js";
import { FailedRequest, HubAnswer, isTransient, networkTrouble, ProtocolError } from "./answers.js";
import type { RepositoryCache } from "./cache.js";
import { explainReadError } from "./explain-error.js";
import type { HubEntry } from "./listing.js";
import type { WantedModel } from "./reference.js";
import { boundedBody, isRedirect, isSuccess, type LocatedAnswer } from "./requests.js";
import { type Attempts, withRetries } from "./retry.js";
import type { HubSession } from "./session.js";

/**
 * A connection that brings less before it breaks has failed, so that one that gives a byte each time is given up as
 * one that gives none.
 */
const MEANINGFUL_BYTES = 16 * 1024;

/**
 * Addresses in a row that may bring nobody a byte: a server that gave some may let an address live for less than a burst
 * of requests, one that never did is a firewall or refuses.
 */
const MOST_REFUSED = { beforeBytes: 3, afterBytes: 30 };

/** One commit of a repository, and where the cache has it. */
export interface Snapshot {
  readonly wanted: WantedModel;
  readonly cache: RepositoryCache;
  readonly commit: string;
}

/** A file of one commit, read at offsets. Failed requests are tried again; what they end in is a typed error. */
export class HubFile {
  bytesFetched = 0;
  /** Where the bytes are, or the request under way that asks for it: one for all who read. */
  #address: Promise<URL> | null = null;
  /** What the server of the bytes called their state when it first gave some. */
  #served: { readonly origin: string; readonly etag: string } | null = null;
  /** Addresses that may still be refused before somebody is given bytes. */
  #refusalsLeft = MOST_REFUSED.beforeBytes;
  /** Who has the bytes, as far as it is known. */
  #host: string | undefined;
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

  /** Where the cache has it, once it is whole; without links no longer than until it is in a snapshot. */
  get blobPath(): string {
    return this.snapshot.cache.blobPath(this.entry.etag);
  }

  /** Where the cache shows it then. */
  get snapshotPath(): string {
    const { cache, commit } = this.snapshot;
    return join(cache.snapshotFolder(commit), this.entry.path);
  }

  /** Asks where the bytes are, to learn whether there is access. */
  async probe(): Promise<void> {
    await withRetries(this.session.retrier, () => this.#whereabouts()).catch(this.#explain);
  }

  /** Streams the bytes from `start` to before `end`, going on where a connection broke. */
  async *read(start: number, end: number): AsyncGenerator<Uint8Array> {
    const attempts = this.session.retrier.begin();
    let at = start;
    while (at < end) {
      const from = at;
      try {
        for await (const bytes of this.#attempt(at, end, attempts)) {
          at += bytes.length;
          this.bytesFetched += bytes.length;
          if (at - from >= MEANINGFUL_BYTES || at === end) attempts.succeeded(this.#host);
          yield bytes;
        }
      } catch (error) {
        await attempts.failed(error).catch(this.#explain);
      }
    }
  }

  readonly #explain = (error: unknown): never => {
    throw explainReadError(error, this.snapshot.wanted, this.session, this.path);
  };

  /** An end before `end` is an error. */
  async *#attempt(start: number, end: number, attempts: Attempts): AsyncGenerator<Uint8Array> {
    let at = start;
    if (this.#isXet) {
      try {
        for await (const bytes of this.#readXet(start, end)) {
          at += bytes.length;
          yield bytes;
        }
        return;
      } catch (caught) {
        const { host } = new URL(this.#resolveUrl);
        const error =
          caught instanceof HubApiError
            ? new HubAnswer(caught.statusCode, host, false, null, null, null)
            : caught;
        // A firewall may block its servers alone.
        if (isTransient(error) && networkTrouble(error) !== "unreachable") throw error;
        // The Hub serves every such file over plain HTTP as well.
        this.#isXet = false;
      }
    }
    yield* this.#readPlain(at, end, attempts);
  }

  async *#readPlain(start: number, end: number, attempts: Attempts): AsyncGenerator<Uint8Array> {
    const answer = await this.#request(`bytes=${start}-${end - 1}`, attempts);
    checkRange(answer, start, end, this.entry);
    this.#checkState(answer);
    const { stallMs } = this.session.settings.transfer;
    const cause = Object.assign(new Error("the answer ended early"), { code: "ECONNRESET" });
    const early = new FailedRequest(answer.url.host, cause);
    yield* exactly(boundedBody(answer, stallMs), end - start, early);
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

  get #resolveUrl(): string {
    const { wanted, commit } = this.snapshot;
    return `${this.session.settings.endpoint}/${wanted.repository}/resolve/${commit}/${this.#encodedPath}`;
  }

  get #encodedPath(): string {
    return this.entry.path.split("/").map(encodeURIComponent).join("/");
  }

  /** From where the Hub says; an address that has expired meanwhile is asked for anew, by one for all. */
  async #request(range: string, attempts: Attempts): Promise<LocatedAnswer> {
    const { ask, answerOf, latency } = this.session;
    for (;;) {
      await attempts.ready();
      const address = this.#whereabouts();
      const url = await address;
      await attempts.ready(url.host);
      const begun = performance.now();
      const answer = await ask(url, { headers: { range } });
      const tookMs = performance.now() - begun;
      latency.leastMs = Math.min(latency.leastMs ?? tookMs, tookMs);
      if (isSuccess(answer)) {
        this.#refusalsLeft = MOST_REFUSED.afterBytes;
        return answer;
      }
      await answer.end();
      const error = answerOf(answer);
      if (isTransient(error)) throw error;
      if (url.href === this.#resolveUrl) throw error;
      // Who is refused where another has asked anew meanwhile has learnt nothing.
      if (this.#address !== address) continue;
      this.#address = null;
      if (--this.#refusalsLeft <= 0) throw error;
    }
  }

  /** The Hub's own address for small files; for large ones it names another, which is signed for a while. */
  #whereabouts(): Promise<URL> {
    const { locate, answerOf } = this.session;
    const find = async () => {
      const found = await locate(this.#resolveUrl);
      if (isSuccess(found) || isRedirect(found)) return found.url;
      throw answerOf(found);
    };
    if (this.#address !== null) return this.#address;
    const address = this.entry.etag.length === 64 ? find() : Promise.resolve(new URL(this.#resolveUrl));
    this.#address = address;
    address.then(
      ({ host }) => {
        this.#host = host;
      },
      () => {
        this.#address = null;
      },
    );
    return address;
  }

  /** A commit never changes; a server that gives one file now and another then is at fault. */
  #checkState({ url, headers }: LocatedAnswer): void {
    const { origin } = url;
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
function checkRange({ status, headers }: LocatedAnswer, start: number, end: number, entry: HubEntry): void {
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
