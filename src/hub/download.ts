/** Files on their way into the cache. No blob appears that wasn't checked: a wrong one is fetched once more. */
import { ApplyDeltaError } from "../errors.js";
import { createLimit, type Limit } from "../limit.js";
import type { Reporter } from "../progress.js";
import { type GrowingSha256, startGrowingSha256s } from "../workers/growing-sha256.js";
import { sizeOfFile } from "./cache.js";
import type { HubFile } from "./hub-file.js";
import { digestOf } from "./listing.js";
import { lockBlob, openPartialBlob, type PartialBlob } from "./partial-blob.js";
import type { HubSession } from "./session.js";
import { type OnBytes, startMeter, type TransferMeter } from "./transfer-meter.js";

/** What the files on their way share. */
interface Transfer {
  readonly requests: Limit;
  readonly meter: TransferMeter;
  /** Begins the digest of a file under way; null where it is taken at the end. */
  follow(file: HubFile, fd: number): GrowingSha256 | null;
}

/** More files at once only wait for connections. */
const FILES_AT_ONCE = 4;

/**
 * Downloads all of them, and calls `onWhole` for each once it is in the cache. The first failure stops the others; the
 * next run resumes with the bytes that arrived.
 */
export async function downloadFiles(
  files: readonly HubFile[],
  { settings, stop }: HubSession,
  reporter: Reporter,
  onWhole: (file: HubFile) => void = () => {},
): Promise<void> {
  const requests = createLimit(settings.transfer.connections);
  const bytesTotal = files.reduce((sum, { entry }) => sum + entry.byteLength, 0);
  const meter = startMeter("downloading", () => bytesTotal, "checking SHA-256", reporter);
  const followed = files.filter(isFollowed);
  const growing = followed.map(({ blobPath: path, entry: { byteLength } }) => ({ path, byteLength }));
  const sums = followed.length === 0 ? null : startGrowingSha256s(growing, stop.signal);
  const follow = (file: HubFile, fd: number) =>
    isFollowed(file) && sums !== null ? sums.follow(followed.indexOf(file), fd) : null;
  let isWhole = false;
  try {
    const action = async (file: HubFile) => {
      await downloadFile(file, { requests, meter, follow });
      onWhole(file);
    };
    await doAll(files, createLimit(FILES_AT_ONCE), action, () => stop.abort());
    isWhole = true;
  } finally {
    await sums?.end();
    meter.end(isWhole);
  }
}

/**
 * Does `action` for each item, within the limit, and nothing more once one has failed. Ends when nothing is under way
 * any more, with the first failure: later ones may come of it.
 */
async function doAll<T>(
  items: readonly T[],
  limit: Limit,
  action: (item: T, hasFailed: () => boolean) => Promise<void>,
  onFailure: () => void = () => {},
): Promise<void> {
  const failures: unknown[] = [];
  const hasFailed = () => failures.length > 0;
  const next = async (item: T) => {
    if (hasFailed()) return;
    try {
      await action(item, hasFailed);
    } catch (error) {
      failures.push(error);
      onFailure();
    }
  };
  await Promise.all(items.map((item) => limit.run(() => next(item))));
  if (hasFailed()) throw failures[0];
}

async function downloadFile(file: HubFile, transfer: Transfer): Promise<void> {
  const { entry, session, blobPath } = file;
  const { cache, commit } = file.snapshot;
  const lockPath = cache.lockPath(entry.etag);
  const onWait = () =>
    session.reporter.note(
      `waiting for another run that downloads ${file.path}; if there is none, remove ${lockPath}.`,
    );
  const release = await lockBlob(lockPath, session.stop.signal, onWait);
  try {
    const onBytes = transfer.meter.begin(entry.path, entry.byteLength);
    const isNew = sizeOfFile(blobPath) !== entry.byteLength;
    // By another run that was faster.
    const isThere = cache.sizeOf(commit, entry.path) === entry.byteLength;
    if (isNew && !isThere) await makeBlob(file, transfer, onBytes);
    else onBytes(entry.byteLength);
    if (!isThere) cache.addToSnapshot(commit, entry.path, entry.etag, isNew);
  } finally {
    release();
  }
}

/** Fetches a file, twice where the first time brings the wrong bytes, and makes it the blob. */
async function makeBlob(file: HubFile, transfer: Transfer, onBytes: OnBytes): Promise<void> {
  const { entry, path, blobPath } = file;
  const { settings, reporter } = file.session;
  const partial = openPartialBlob(blobPath, entry.byteLength, settings.transfer.noteMs);
  try {
    onBytes(partial.bytesDone());
    for (let isAgain = false; ; isAgain = true) {
      const got = await fetchMissing(file, partial, transfer, onBytes);
      if (got === entry.etag) break;
      partial.startOver();
      onBytes(-entry.byteLength);
      if (isAgain) throw damaged(file, got);
      reporter.warn(`${path} arrived damaged; downloading it once more.`);
    }
    partial.publish();
  } finally {
    partial.close();
  }
}

/** Smaller files are hashed in less time than a thread takes to start. */
const LEAST_FOLLOWED_BYTES = 4 * 1024 * 1024;

function isFollowed({ entry: { etag, byteLength } }: HubFile): boolean {
  return etag.length === 64 && byteLength >= LEAST_FOLLOWED_BYTES;
}

/** Fetches what is missing, and gives the digest of the whole. */
async function fetchMissing(
  file: HubFile,
  partial: PartialBlob,
  { requests, follow }: Transfer,
  onBytes: OnBytes,
): Promise<string> {
  const { entry } = file;
  const { settings, stop } = file.session;
  const sum = follow(file, partial.file.fd);
  try {
    sum?.advance(partial.leadingBytes());
    await doAll(partial.missing(settings.transfer.rangeBytes), requests, async ([start, end], hasFailed) => {
      let at = start;
      for await (const batch of inBatches(file.read(start, end))) {
        const byteLength = partial.write(at, batch);
        at += byteLength;
        onBytes(byteLength);
        sum?.advance(partial.leadingBytes());
        if (hasFailed()) return;
      }
    });
    return await (sum?.digest() ?? digestOf(partial.file.path, entry, { signal: stop.signal }));
  } finally {
    // No thread reads a file that is closed.
    await sum?.drop();
  }
}

/** A write costs some work however small it is; one of more than this takes memory in blocks that may be slow. */
const WRITE_BYTES = 256 * 1024;

/** A slow line's bytes don't wait longer to be counted and kept. */
const WRITE_MS = 100;

/** What is written together. Before a failure comes what arrived before it. */
async function* inBatches(parts: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Uint8Array[]> {
  let batch: Uint8Array[] = [];
  let byteLength = 0;
  let yieldedAt = performance.now();
  try {
    for await (const part of parts) {
      batch.push(part);
      byteLength += part.length;
      if (byteLength < WRITE_BYTES && performance.now() - yieldedAt < WRITE_MS) continue;
      yield batch;
      batch = [];
      byteLength = 0;
      yieldedAt = performance.now();
    }
  } catch (error) {
    if (batch.length > 0) yield batch;
    throw error;
  }
  if (batch.length > 0) yield batch;
}

function damaged({ path, entry }: HubFile, got: string): ApplyDeltaError {
  const kind = entry.etag.length === 64 ? "SHA-256" : "git's SHA-1";
  return new ApplyDeltaError("download-damaged", "The file arrived damaged twice.", {
    file: path,
    expected: `${kind} ${entry.etag}`,
    got,
    hint: "A proxy or the network may alter data: try another network, or tell the repository's owner.",
  });
}
