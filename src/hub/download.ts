/** Files on their way into the cache. No blob appears that wasn't checked: a wrong one is fetched once more. */
import { ApplyDeltaError } from "../errors.js";
import { createLimit, type Limit } from "../limit.js";
import { lockBlob } from "./blob-lock.js";
import { type RepositoryCache, sizeOfFile } from "./cache.js";
import { digestOf } from "./entry-digest.js";
import type { HubFile } from "./hub-file.js";
import type { HubEntry } from "./listing.js";
import { openPartialBlob, type PartialBlob } from "./partial-blob.js";
import type { Range } from "./ranges.js";
import { explainReadError } from "./read-errors.js";
import { readRange } from "./read-range.js";
import type { WantedModel } from "./reference.js";
import type { HubSession } from "./session.js";
import { type OnBytes, startMeter, type TransferMeter } from "./transfer-meter.js";

export interface Download {
  readonly wanted: WantedModel;
  readonly entry: HubEntry;
  readonly remote: HubFile;
  readonly cache: RepositoryCache;
  /** The snapshot that shows the blob once it is there. */
  readonly commit: string;
}

/** More files at once only wait for connections. */
const FILES_AT_ONCE = 4;

/** Downloads all of them. The first failure stops the others; the next run resumes with the bytes that arrived. */
export async function downloadFiles(downloads: readonly Download[], session: HubSession): Promise<void> {
  const files = createLimit(FILES_AT_ONCE);
  const requests = createLimit(session.settings.transfer.connections);
  const bytesTotal = downloads.reduce((sum, { entry }) => sum + entry.byteLength, 0);
  const { reporter } = session;
  const meter = startMeter({
    activity: "downloading",
    bytesTotal: () => bytesTotal,
    idle: "checking sha256",
    reporter,
  });
  let failure: { readonly error: unknown } | undefined;
  const downloadNext = async (download: Download) => {
    if (failure !== undefined) return;
    try {
      await downloadFile(download, session, requests, meter);
    } catch (error) {
      // Later failures come of stopping the others.
      failure ??= { error };
      session.stop.abort();
    }
  };
  await Promise.all(downloads.map((download) => files.run(() => downloadNext(download))));
  meter.end(failure === undefined);
  if (failure !== undefined) throw failure.error;
}

async function downloadFile(
  download: Download,
  session: HubSession,
  requests: Limit,
  meter: TransferMeter,
): Promise<void> {
  const { entry, cache, commit, wanted } = download;
  const blobPath = cache.blobPath(entry.etag);
  const lockPath = cache.lockPath(entry.etag);
  const onWait = () =>
    session.reporter.note(
      `waiting for another run that downloads ${wanted.repository}/${entry.path}; if there is none, remove ${lockPath}.`,
    );
  const lock = await lockBlob(lockPath, { signal: session.stop.signal, onWait });
  try {
    const onBytes = meter.begin(entry.path, entry.byteLength);
    const isNew = sizeOfFile(blobPath) !== entry.byteLength;
    if (isNew) await makeBlob(download, session, requests, onBytes);
    else onBytes(entry.byteLength);
    cache.addToSnapshot(commit, entry.path, entry.etag, isNew);
  } finally {
    lock.release();
  }
}

/** Fetches a file, twice where the first time brings the wrong bytes, and makes it the blob. */
async function makeBlob(
  download: Download,
  session: HubSession,
  requests: Limit,
  onBytes: OnBytes,
): Promise<void> {
  const { entry, cache, wanted } = download;
  const { settings, reporter, stop } = session;
  const blobPath = cache.blobPath(entry.etag);
  const partial = openPartialBlob(blobPath, entry.byteLength, settings.transfer.noteBytes);
  try {
    onBytes(partial.bytesDone());
    for (let isAgain = false; ; isAgain = true) {
      await fetchMissing(download, partial, session, requests, onBytes);
      const got = await digestOf(partial.path, entry, { signal: stop.signal });
      if (got === entry.etag) break;
      partial.startOver();
      onBytes(-entry.byteLength);
      if (isAgain) throw damaged(download, got);
      reporter.warn(`${wanted.repository}/${entry.path} arrived damaged; downloading it once more.`);
    }
    partial.publish(blobPath);
  } finally {
    partial.close();
  }
}

/** Fetches what a partial blob lacks. Ends when no request of it is under way any more, whatever happened. */
async function fetchMissing(
  { wanted, remote, entry }: Download,
  partial: PartialBlob,
  session: HubSession,
  requests: Limit,
  onBytes: OnBytes,
): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  const fetchRange = async ([start, end]: Range) => {
    if (failure !== undefined) return;
    try {
      let at = start;
      for await (const bytes of readRange(remote, start, end, session.retrier)) {
        partial.write(at, bytes);
        at += bytes.length;
        onBytes(bytes.length);
        if (failure !== undefined) return;
      }
    } catch (error) {
      failure ??= { error };
    }
  };
  const ranges = partial.missing(session.settings.transfer.rangeBytes);
  await Promise.all(ranges.map((range) => requests.run(() => fetchRange(range))));
  if (failure !== undefined) throw explainReadError(failure.error, wanted, session, entry.path);
}

function damaged({ wanted, entry }: Download, got: string): ApplyDeltaError {
  const kind = entry.etag.length === 64 ? "sha256" : "git's sha1";
  return new ApplyDeltaError("download-damaged", "The file arrived damaged twice.", {
    file: `${wanted.repository}/${entry.path}`,
    expected: `${kind} ${entry.etag}`,
    got,
    hint: "A proxy or the network may alter data: try another network, or tell the repository's owner.",
  });
}
