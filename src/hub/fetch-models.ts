/**
 * In: models on the Hub. Out: their folders in the cache, whole; or without the weights, and how to read those there.
 * Guards: every repository is asked, the amount shown and the disks checked before the first byte of weights moves.
 */
import { join } from "node:path";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { MAX_INDEX_BYTES } from "../formats/shard-index.js";
import { type Reporter, silentReporter } from "../progress.js";
import { formatBytes, plural } from "../units.js";
import { describeHubError, type HubErrorContext } from "./answers.js";
import { checkFileName, makeFolder, type RepositoryCache, repositoryCache, sizeOfFile } from "./cache.js";
import { cachedModel, describeCached, shardsOf, type WantedModel } from "./cached-model.js";
import { chooseFiles } from "./choose-files.js";
import { connectToHub } from "./connection.js";
import { checkSpace, type SpaceNeed } from "./disk-space.js";
import { type Download, type DownloadOptions, downloadFiles } from "./download.js";
import { createHub, type Hub, type HubEntry } from "./hub.js";
import type { HubSettings } from "./hub-settings.js";
import { partialBytes } from "./partial-blob.js";
import type { HubReference } from "./reference.js";
import { createRetrier, describeWait, withRetries } from "./retry.js";
import { type StreamableModel, type StreamedWeights, streamModels } from "./stream-weights.js";
import { readToken } from "./token.js";

export interface FetchedModel {
  /** The snapshot's folder. */
  readonly path: string;
  readonly commit: string;
  /** How weights are read that the snapshot lacks; null where it lacks none. */
  readonly weights: StreamedWeights | null;
}

export interface FetchOptions {
  readonly settings: HubSettings;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
  /** What else the run will write, knowing the bytes of each model's weights. */
  readonly otherNeeds: (weightBytes: readonly number[]) => readonly SpaceNeed[];
}

/** Who sees nothing move for so long wants to know why. */
const LONG_WAIT_MS = 5_000;

/** What is known of a model once its repository was asked. */
interface LocatedModel extends StreamableModel {
  readonly weightBytes: number;
  /** What is to be downloaded. */
  readonly missing: readonly Download[];
}

/** What every step needs. */
interface Context extends FetchOptions {
  readonly hub: Hub;
  readonly token: string | null;
  readonly tokenFile: string | null;
  readonly download: Omit<DownloadOptions, "describe">;
}

/**
 * Errors: `repository-not-found`, `revision-not-found`, `gated-repository`, `bad-token`, `no-network`, `rate-limited`,
 * `hub-failure`, `not-in-cache`, `no-weights`, `shard-missing`, `unsafe-file-name`, `download-damaged`, `no-space`,
 * `cache-unwritable`, `interrupted`.
 */
export async function fetchModels(
  models: readonly WantedModel[],
  options: FetchOptions,
): Promise<FetchedModel[]> {
  const { settings, reporter, signal } = options;
  const cacheOf = ({ repository }: HubReference) => repositoryCache(settings.cacheFolder, repository);
  if (settings.offline) return Promise.all(models.map((model) => offlineModel(cacheOf(model), model)));
  const stop = new AbortController();
  const abort = () => stop.abort();
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const token = readToken(settings);
  const tokenFile = settings.token === null ? settings.tokenFile : null;
  const connection = connectToHub(settings, token, { signal: stop.signal });
  const hub = createHub(settings, connection);
  const retrier = createRetrier(settings.transfer, {
    signal: stop.signal,
    onWait: (error, delayMs) => {
      const say = delayMs >= LONG_WAIT_MS ? reporter.note : reporter.detail;
      say(describeWait(error, delayMs));
    },
  });
  const download = { transfer: settings.transfer, retrier, reporter, stop };
  const context = { ...options, hub, token, tokenFile, download };
  const end = async () => {
    signal?.removeEventListener("abort", abort);
    await connection.close();
  };
  let isEnded = true;
  try {
    const located: LocatedModel[] = [];
    for (const model of models) located.push(await locate(model, cacheOf(model), context));
    await downloadMissing(located, context);
    // A revision must not stand for a snapshot without weights.
    for (const model of located) if (model.absent.length === 0) noteRevision(model, reporter);
    const describe = (error: unknown, wanted: WantedModel, fileName: string) =>
      describeHubError(error, errorContext(wanted, context, fileName));
    const streamed = streamModels(located, { hub, settings, retrier, reporter, signal, describe, end });
    isEnded = streamed.every(({ weights }) => weights === null);
    return streamed;
  } finally {
    if (isEnded) await end();
  }
}

async function offlineModel(cache: RepositoryCache, wanted: WantedModel): Promise<FetchedModel> {
  return { ...(await cachedModel(cache, wanted)), weights: null };
}

/** Asks the repository what it holds, and the cache what it lacks. */
async function locate(wanted: WantedModel, cache: RepositoryCache, context: Context): Promise<LocatedModel> {
  const { hub, download, settings } = context;
  const { repository } = wanted;
  const listed = withRetries(download.retrier, () => hub.list(wanted));
  const { commit, entries } = await listed.catch(async (error: unknown) => {
    throw await withCacheHint(describeHubError(error, errorContext(wanted, context)), cache, wanted);
  });
  for (const { path } of entries) checkFileName(repository, path);
  const byName = new Map(entries.map((entry) => [entry.path, entry]));
  const names = [...byName.keys()].filter((name) => !name.includes("/")).sort();
  const isCached = (name: string) => cache.sizeOf(commit, name) === byName.get(name)?.byteLength;
  const toDownload = (entry: HubEntry): Download => {
    return { repository, entry, cache, commit, remote: hub.file(repository, commit, entry) };
  };
  const chosen = chooseFiles(names, isCached, repository);
  const entryOf = (name: string): HubEntry => {
    const entry = byName.get(name);
    if (entry !== undefined) return entry;
    throw new ApplyDeltaError("shard-missing", "The repository lacks a file that its index names.", {
      file: `${repository}/${name}`,
      hint: "Choose another revision, or tell the repository's owner.",
    });
  };
  const ensure = (wantedEntries: readonly HubEntry[]) =>
    wantedEntries.filter((entry) => {
      if (isCached(entry.path)) return false;
      if (sizeOfFile(cache.blobPath(entry.etag)) !== entry.byteLength) return true;
      // Another commit has the same file.
      cache.addToSnapshot(commit, entry.path, entry.etag, false);
      return false;
    });
  let shards = chosen.weights;
  const index = chosen.index === null ? [] : [entryOf(chosen.index)];
  if (chosen.index !== null) {
    // Small, and the way to know what else is needed: no progress is shown for it.
    checkIndexSize(repository, index);
    const { progress, progressDone } = silentReporter;
    const reporter = { ...download.reporter, progress, progressDone };
    await downloadAll(ensure(index).map(toDownload), [wanted], {
      ...context,
      download: { ...download, reporter },
    });
    shards = await shardsOf(join(cache.snapshotFolder(commit), chosen.index));
  }
  const weights = shards.map(entryOf);
  const assets = ensure(chosen.assets.map(entryOf)).map(toDownload);
  const absentWeights = ensure(weights);
  const all = [...assets, ...absentWeights.map(toDownload)];
  // The largest, which is weights: config files are in the open even where a repository is gated.
  const [first] = [...all].sort((a, b) => b.entry.byteLength - a.entry.byteLength);
  if (first !== undefined && first.entry.byteLength > 0) {
    await withRetries(download.retrier, () => first.remote.probe()).catch((error: unknown) => {
      throw describeHubError(error, errorContext(wanted, context, first.entry.path));
    });
  }
  const weightBytes = weights.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const path = cache.snapshotFolder(commit);
  const indexPath = chosen.index === null ? null : join(path, chosen.index);
  const model = { wanted, cache, commit, path, weightBytes, indexPath, weights };
  return settings.stream
    ? { ...model, missing: assets, absent: absentWeights }
    : { ...model, missing: all, absent: [] };
}

/** What a revision stands for is for later runs: a whole model in a cache that can only be read is as good without. */
function noteRevision({ wanted, cache, commit }: LocatedModel, reporter: Reporter): void {
  try {
    cache.writeRef(wanted.revision, commit);
  } catch (error) {
    if (!isApplyDeltaError(error, "cache-unwritable")) throw error;
    reporter.detail(
      `${error.message} What ${wanted.revision} stands for isn't noted; --offline won't know it.`,
    );
  }
}

/** It comes before the amount is known and the disk is checked, so it has to be as small as an index is. */
function checkIndexSize(repository: string, entries: readonly HubEntry[]): void {
  for (const { path, byteLength } of entries) {
    if (byteLength <= MAX_INDEX_BYTES) continue;
    throw new ApplyDeltaError("index-malformed", "The shard index is larger than any.", {
      file: `${repository}/${path}`,
      expected: `at most ${MAX_INDEX_BYTES} bytes`,
      got: `${byteLength} bytes`,
      hint: "Choose another revision, or tell the repository's owner.",
    });
  }
}

async function downloadMissing(located: readonly LocatedModel[], context: Context): Promise<void> {
  const { settings, reporter, otherNeeds } = context;
  // One file may be in both models, or in one twice.
  const unique = new Map<string, Download>();
  const again: Download[] = [];
  for (const download of located.flatMap(({ missing }) => missing)) {
    const blobPath = download.cache.blobPath(download.entry.etag);
    if (unique.has(blobPath)) again.push(download);
    else unique.set(blobPath, download);
  }
  const downloads = [...unique.values()];
  if (downloads.length === 0) return;
  const here = (some: readonly Download[]) =>
    some.reduce(
      (sum, { cache, entry }) => sum + partialBytes(cache.blobPath(entry.etag), entry.byteLength),
      0,
    );
  for (const { wanted, commit, missing } of located) {
    const bytes = missing.reduce((sum, { entry }) => sum + entry.byteLength, 0);
    const of = `${wanted.repository}@${wanted.revision} (commit ${commit.slice(0, 12)})`;
    if (missing.length === 0) reporter.detail(`${of} is in the cache.`);
    else reporter.note(`downloading ${of}: ${formatBytes(bytes)} in ${plural(missing.length, "file")}.`);
  }
  const total = downloads.reduce((sum, { entry }) => sum + entry.byteLength, 0);
  const arrived = here(downloads);
  const earlier = arrived === 0 ? "" : `, of which ${formatBytes(arrived)} arrived in an earlier run`;
  if (located.length > 1 || arrived > 0) reporter.note(`${formatBytes(total)} in all${earlier}.`);
  makeFolder(settings.cacheFolder);
  checkSpace([
    { path: settings.cacheFolder, bytes: total - arrived, what: "the Hub's cache" },
    ...otherNeeds(located.map(({ weightBytes }) => weightBytes)),
  ]);
  await downloadAll(
    downloads,
    located.map(({ wanted }) => wanted),
    context,
  );
  for (const { cache, commit, entry } of again) cache.addToSnapshot(commit, entry.path, entry.etag, false);
}

function downloadAll(
  downloads: readonly Download[],
  models: readonly WantedModel[],
  context: Context,
): Promise<void> {
  const describe = (error: unknown, { repository, entry }: Download) => {
    const wanted = models.find((model) => model.repository === repository);
    return wanted === undefined ? error : describeHubError(error, errorContext(wanted, context, entry.path));
  };
  return downloadFiles(downloads, { ...context.download, describe });
}

function errorContext(
  wanted: WantedModel,
  { settings, token, tokenFile }: Context,
  fileName?: string,
): HubErrorContext {
  const { repository, revision, reference } = wanted;
  const common = {
    repository,
    revision,
    reference,
    endpoint: settings.endpoint,
    hasToken: token !== null,
    tokenFile,
  };
  return fileName === undefined ? common : { ...common, fileName };
}

/** Without a network the cache may do. */
async function withCacheHint(error: unknown, cache: RepositoryCache, wanted: WantedModel): Promise<unknown> {
  if (!isApplyDeltaError(error, "no-network")) return error;
  const { hint } = error.details;
  const more = `${hint ?? ""} Of ${wanted.repository} ${await describeCached(cache, wanted)}.`.trim();
  return new ApplyDeltaError(error.code, error.message, { ...error.details, hint: more });
}
