/** The way of models from the Hub: ask every repository, show the amount, check the disks, download or stream. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isApplyDeltaError } from "../errors.js";
import { describeInterruption, RESUMES } from "../interrupt.js";
import { type Reporter, silentReporter } from "../progress.js";
import { checkSpace, type SpaceNeed } from "../target/room.js";
import { formatBytes } from "../units.js";
import { makeCacheFolder, RepositoryCache } from "./cache.js";
import { findCachedModel } from "./cached-model.js";
import { downloadFiles } from "./download.js";
import type { HubFile } from "./hub-file.js";
import { bytesOf, describeAmount, describeLocated, type LocatedModel, locateModel } from "./locate-model.js";
import { partialBytes } from "./partial-blob.js";
import type { HubReference, WantedModel } from "./reference.js";
import { type HubSession, openSession } from "./session.js";
import type { HubSettings } from "./settings.js";
import { type StreamedWeights, streamWeights } from "./stream-weights.js";

export interface FetchedModel {
  /** The snapshot's folder. */
  readonly path: string;
  readonly commit: string;
  /** Reads the weights that the snapshot lacks; null where it lacks none. */
  readonly weights: StreamedWeights | null;
}

/** How much of the weights is needed: nothing but headers and samples; all, before anything is read; all, while it is read. */
export type WeightsNeed = "headers" | "first" | "meanwhile";

export interface FetchOptions {
  readonly settings: HubSettings;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
  /** Whether weights that the cache lacks stay on the Hub though `stream` isn't asked for, and perhaps come later. */
  readonly weights: WeightsNeed;
  /** What else the run will write, given the bytes of each model's weights. */
  readonly otherNeeds: (weightBytes: readonly number[]) => readonly SpaceNeed[];
}

/**
 * Brings models into the cache, or with `stream` or where they may come later all of them but the weights.
 * Errors: `repository-not-found`, `revision-not-found`, `gated-repository`, `bad-token`, `no-network`, `rate-limited`,
 * `hub-failure`, `not-in-cache`, `no-weights`, `shard-missing`, `unsafe-file-name`, `download-damaged`, `no-space`,
 * `cache-unwritable`, `interrupted`.
 */
export async function fetchModels(
  models: readonly WantedModel[],
  options: FetchOptions,
): Promise<FetchedModel[]> {
  const { settings } = options;
  if (settings.offline) {
    const found = models.map((model) => findCachedModel(cacheOf(model, options), model));
    return (await Promise.all(found)).map((model) => ({ ...model, weights: null }));
  }
  const session = openSession(settings, options.reporter, options.signal);
  let isOpen = false;
  try {
    const fetched = await describeInterruption(
      "what was downloaded is kept",
      () => fetchAll(models, options, session),
      RESUMES,
    );
    isOpen = fetched.some(({ weights }) => weights !== null);
    return fetched;
  } finally {
    if (!isOpen) await session.close();
  }
}

/** In a cache that only others may write to there is no room for config and tokenizer: then in a folder for this run. */
async function fetchAll(
  models: readonly WantedModel[],
  options: FetchOptions,
  session: HubSession,
): Promise<FetchedModel[]> {
  try {
    return await fetchInto(options.settings.cacheFolder, models, options, session);
  } catch (error) {
    if (!isApplyDeltaError(error, "cache-unwritable") || !staysThere(options) || comesLater(options))
      throw error;
    const folder = mkdtempSync(join(tmpdir(), "vicuna-apply-delta-"));
    const forget = () => rmSync(folder, { recursive: true, force: true });
    options.reporter.detail(`${error.message} Config and tokenizer go into ${folder} for this run.`);
    try {
      const fetched = await fetchInto(folder, models, options, session);
      return fetched.map(({ weights, ...model }) => ({
        ...model,
        weights: weights && closingWith(weights, forget),
      }));
    } catch (failure) {
      forget();
      throw failure;
    }
  }
}

function closingWith(weights: StreamedWeights, forget: () => void): StreamedWeights {
  return { ...weights, close: () => weights.close().finally(forget) };
}

async function fetchInto(
  cacheFolder: string,
  models: readonly WantedModel[],
  options: FetchOptions,
  session: HubSession,
): Promise<FetchedModel[]> {
  // All at once: a far Hub takes its time for each question.
  const located = await allOrFirstError(
    models.map((model) => locateModel(model, cacheOf(model, options, cacheFolder), session)),
  );
  const releases = await downloadMissing(located, cacheFolder, options, session);
  const isStreamed = ({ absentWeights }: LocatedModel) => staysThere(options) && absentWeights.length > 0;
  // Of what is downloaded later, the download says enough.
  const level = comesLater(options) ? "detail" : "note";
  for (const model of located.filter(isStreamed)) options.reporter[level](describeStay(model, options));
  // A revision must not stand for a snapshot without weights.
  for (const model of located) if (!isStreamed(model)) noteRevision(model, options.reporter);
  for (const release of releases) release();
  const downloadAll = async (onWhole: (file: HubFile) => void) => {
    const first = { ...options, weights: "first" } as const;
    const rest = located.map((model) => ({ ...model, absentAssets: [] }));
    const holds = await downloadMissing(rest, cacheFolder, first, session, onWhole);
    for (const model of located) noteRevision(model, options.reporter);
    for (const release of holds) release();
  };
  const weights = streamWeights(located.filter(isStreamed), session, options.signal, downloadAll);
  return located.map((model) => {
    return { path: model.path, commit: model.commit, weights: weights.get(model) ?? null };
  });
}

/** Waits for all, so that nothing goes on behind an error: the first's, in their order. */
async function allOrFirstError<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

function staysThere({ settings, weights }: FetchOptions): boolean {
  return settings.stream || weights !== "first";
}

function comesLater({ settings, weights }: FetchOptions): boolean {
  return !settings.stream && weights === "meanwhile";
}

function describeStay(model: LocatedModel, { settings, weights }: FetchOptions): string {
  const amount = describeAmount(model.absentWeights);
  if (settings.stream && weights !== "headers")
    return `streaming ${describeLocated(model)}: ${amount}, not stored on this disk.`;
  const later = settings.stream ? "" : ", not downloaded yet";
  return `reading headers of ${describeLocated(model)}: ${amount}${later}.`;
}

function cacheOf(
  { repository }: HubReference,
  { settings }: FetchOptions,
  folder = settings.cacheFolder,
): RepositoryCache {
  return new RepositoryCache(folder, repository, settings.useLinks);
}

/** A read-only cache that holds the whole model needs no ref: it is for later runs. */
function noteRevision({ wanted, cache, commit }: LocatedModel, reporter: Reporter): void {
  try {
    cache.writeRef(wanted.revision, commit);
  } catch (error) {
    if (!isApplyDeltaError(error, "cache-unwritable")) throw error;
    reporter.detail(`${error.message} --offline won't find ${wanted.repository}@${wanted.revision}.`);
  }
}

/** In about the order in which a merge reads them: as far into one model as into the others. */
function inTurns(models: readonly (readonly HubFile[])[]): HubFile[] {
  const placed = models.flatMap((files) => {
    const total = bytesOf(files.map(({ entry }) => entry));
    let before = 0;
    return files.map((file) => {
      const place = before / Math.max(1, total);
      before += file.entry.byteLength;
      return { file, place };
    });
  });
  return placed.sort((a, b) => a.place - b.place).map(({ file }) => file);
}

/** Gives what forgets the names under which unfinished snapshots are held: to be called once they have a ref. */
async function downloadMissing(
  located: readonly LocatedModel[],
  cacheFolder: string,
  options: FetchOptions,
  session: HubSession,
  onWhole?: (file: HubFile) => void,
): Promise<(() => void)[]> {
  const { reporter, otherNeeds } = options;
  const missingOf = ({ absentAssets, absentWeights }: LocatedModel) =>
    staysThere(options) ? absentAssets : [...absentAssets, ...absentWeights];
  const missing = inTurns(located.map(missingOf));
  if (missing.length === 0) return [];
  for (const model of located) {
    const own = missingOf(model);
    if (staysThere(options) && model.absentWeights.length > 0) continue;
    if (own.length === 0) reporter.detail(`${describeLocated(model)} is in the cache.`);
    else reporter.note(`downloading ${describeLocated(model)}: ${describeAmount(own)}.`);
  }
  // One file may be in both models, or in one twice.
  const byBlob = new Map(missing.map((file) => [file.blobPath, file]));
  const downloads = [...byBlob.values()];
  const total = bytesOf(downloads.map(({ entry }) => entry));
  const arrived = downloads.reduce(
    (sum, { blobPath, entry }) => sum + partialBytes(blobPath, entry.byteLength),
    0,
  );
  const earlier = arrived === 0 ? "" : `, of which ${formatBytes(arrived)} arrived in an earlier run`;
  if (!staysThere(options) && (located.length > 1 || arrived > 0))
    reporter.note(`${formatBytes(total)} in all${earlier}.`);
  makeCacheFolder(cacheFolder);
  checkSpace([
    { path: cacheFolder, bytes: total - arrived, what: "the Hub's cache" },
    ...otherNeeds(located.map(({ weights }) => bytesOf(weights))),
  ]);
  const releases = located
    .filter((model) => !staysThere(options) && missingOf(model).length > 0)
    .map(({ cache, commit }) => cache.holdSnapshot(commit));
  // Small files that come before a download have no share in its progress.
  await downloadFiles(downloads, session, comesLater(options) ? silentReporter : reporter, onWhole);
  for (const { snapshot, entry, blobPath } of missing.filter((file) => !downloads.includes(file))) {
    const whole = byBlob.get(blobPath)?.snapshotPath;
    snapshot.cache.addToSnapshot(snapshot.commit, entry.path, entry.etag, false, whole);
  }
  return releases;
}
