/**
 * In: files on the Hub. Out: their blobs in the cache, each of the right size and digest.
 * Several files at once, several ranges of each; what arrived is kept whatever happens.
 * Guards: no blob appears that wasn't checked; a wrong one is fetched once more and then an error.
 */
import { ApplyDeltaError } from "../errors.js";
import { createLimit, type Limit } from "../limit.js";
import type { Reporter } from "../progress.js";
import { lockBlob } from "./blob-lock.js";
import { type RepositoryCache, sizeOfFile } from "./cache.js";
import { digestOf } from "./entry-digest.js";
import type { HubEntry, RemoteFile } from "./hub.js";
import type { TransferSettings } from "./hub-settings.js";
import { openPartialBlob, type PartialBlob } from "./partial-blob.js";
import type { Range } from "./ranges.js";
import type { Retrier } from "./retry.js";

export interface Download {
  readonly repository: string;
  readonly entry: HubEntry;
  readonly remote: RemoteFile;
  readonly cache: RepositoryCache;
  /** The snapshot that shows the blob once it is there. */
  readonly commit: string;
}

export interface DownloadOptions {
  readonly transfer: TransferSettings;
  readonly retrier: Retrier;
  readonly reporter: Reporter;
  /** Ends everything that `retrier` and the remotes do, too. */
  readonly stop: AbortController;
  /** Turns what a request ended in into a typed error. */
  readonly describe: (error: unknown, download: Download) => unknown;
}

/** More files at once only wait for connections. */
const FILES_AT_ONCE = 4;

/**
 * A connection that brings less before it breaks has failed, so that one that gives a byte each time is given up as
 * one that gives none.
 */
const MEANINGFUL_BYTES = 16 * 1024;

/** Bars needn't move faster. */
const PROGRESS_INTERVAL_MS = 100;

/**
 * Streams the bytes from `start` to before `end`, going on where a connection broke. Every reader of the Hub's files
 * goes through here. Errors: what the last attempt ended in; `interrupted`.
 */
export async function* readRange(
  remote: RemoteFile,
  start: number,
  end: number,
  retrier: Retrier,
): AsyncGenerator<Uint8Array> {
  let at = start;
  for (let failures = 0; at < end; ) {
    await retrier.ready();
    const from = at;
    try {
      for await (const bytes of remote.read(at, end)) {
        at += bytes.length;
        if (at - from >= MEANINGFUL_BYTES) failures = 0;
        retrier.succeeded();
        yield bytes;
      }
    } catch (error) {
      await retrier.afterFailure(error, ++failures);
    }
  }
}

/** Downloads all of them. The first failure stops the others; what arrived stays for the next run. */
export async function downloadFiles(downloads: readonly Download[], options: DownloadOptions): Promise<void> {
  const files = createLimit(FILES_AT_ONCE);
  const requests = createLimit(options.transfer.connections);
  const progress = trackProgress(downloads, options.reporter);
  let failure: { readonly error: unknown } | undefined;
  const downloadNext = async (download: Download) => {
    if (failure !== undefined) return;
    try {
      await downloadFile(download, options, requests, progress.of(download));
    } catch (error) {
      // Later failures come of stopping the others.
      failure ??= { error };
      options.stop.abort();
    }
  };
  await Promise.all(downloads.map((download) => files.run(() => downloadNext(download))));
  progress.end(failure === undefined);
  if (failure !== undefined) throw failure.error;
}

async function downloadFile(
  download: Download,
  options: DownloadOptions,
  requests: Limit,
  onBytes: OnBytes,
): Promise<void> {
  const { entry, cache, commit, repository } = download;
  const { stop, reporter, transfer } = options;
  const blobPath = cache.blobPath(entry.etag);
  const lockPath = cache.lockPath(entry.etag);
  const onWait = () =>
    reporter.note(
      `waiting for another run that downloads ${repository}/${entry.path}; if there is none, remove ${lockPath}.`,
    );
  const lock = await lockBlob(lockPath, { signal: stop.signal, onWait });
  try {
    const isNew = sizeOfFile(blobPath) !== entry.byteLength;
    if (isNew) {
      const partial = openPartialBlob(blobPath, entry.byteLength, transfer.noteBytes);
      try {
        onBytes(partial.bytesDone());
        for (let isAgain = false; ; isAgain = true) {
          await fetchMissing(download, partial, options, requests, onBytes);
          const got = await digestOf(partial.path, entry, { signal: stop.signal });
          if (got === entry.etag) break;
          partial.startOver();
          onBytes(-entry.byteLength);
          if (isAgain) throw damaged(download, got);
          reporter.warn(`${repository}/${entry.path} arrived damaged; it is fetched once more.`);
        }
        partial.publish(blobPath);
      } finally {
        partial.close();
      }
    } else {
      onBytes(entry.byteLength);
    }
    cache.addToSnapshot(commit, entry.path, entry.etag, isNew);
  } finally {
    lock.release();
  }
}

/** Fetches what a partial blob lacks. Ends when no request of it is under way any more, whatever happened. */
async function fetchMissing(
  download: Download,
  partial: PartialBlob,
  { transfer, retrier, describe }: DownloadOptions,
  requests: Limit,
  onBytes: OnBytes,
): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  const fetchRange = async ([start, end]: Range) => {
    if (failure !== undefined) return;
    try {
      let at = start;
      for await (const bytes of readRange(download.remote, start, end, retrier)) {
        partial.write(at, bytes);
        at += bytes.length;
        onBytes(bytes.length);
        if (failure !== undefined) return;
      }
    } catch (error) {
      failure ??= { error };
    }
  };
  const ranges = partial.missing(transfer.rangeBytes);
  await Promise.all(ranges.map((range) => requests.run(() => fetchRange(range))));
  if (failure !== undefined) throw describe(failure.error, download);
}

function damaged({ repository, entry }: Download, got: string): ApplyDeltaError {
  const kind = entry.etag.length === 64 ? "sha256" : "git's sha1";
  return new ApplyDeltaError("download-damaged", "A file arrived damaged twice.", {
    file: `${repository}/${entry.path}`,
    expected: `${kind} ${entry.etag}`,
    got,
    hint: "A proxy or the network changes what it carries: try another network, or tell the repository's owner.",
  });
}

/** More bytes have arrived; a negative number takes some back. */
type OnBytes = (byteLength: number) => void;

function trackProgress(downloads: readonly Download[], reporter: Reporter) {
  const bytesTotal = downloads.reduce((sum, { entry }) => sum + entry.byteLength, 0);
  const done = new Map<Download, number>();
  const report = () => {
    const underWay = [...done].filter(([{ entry }, bytes]) => bytes < entry.byteLength);
    reporter.progress({
      activity: "downloading",
      bytesDone: [...done.values()].reduce((sum, bytes) => sum + bytes, 0),
      bytesTotal,
      current: underWay.at(0)?.[0].entry.path ?? "checking sha256",
      files: underWay.map(([{ entry }, bytesDone]) => ({
        name: entry.path,
        bytesDone,
        bytesTotal: entry.byteLength,
      })),
    });
  };
  let isShown = false;
  const timer = setInterval(() => {
    isShown = true;
    report();
  }, PROGRESS_INTERVAL_MS);
  return {
    of(download: Download): OnBytes {
      return (byteLength) => void done.set(download, (done.get(download) ?? 0) + byteLength);
    },
    /** `isWhole`: everything is there. */
    end(isWhole: boolean) {
      clearInterval(timer);
      if (isWhole) report();
      if (isShown || isWhole) reporter.progressDone();
    },
  };
}
