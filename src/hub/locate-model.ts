import { join } from "node:path";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { checkAssetSize } from "../files/small-file.js";
import { HUB_FOLDERS, notADelta } from "../formats/find-parts.js";
import { chooseInRepository, holdsWeights, noWeights } from "../formats/find-weights.js";
import { readIndex } from "../formats/open.js";
import { MAX_INDEX_BYTES } from "../formats/shard-index.js";
import { ASSET_NAMES } from "../llama/file-names.js";
import { silentReporter } from "../progress.js";
import { formatBytes, plural } from "../units.js";
import { checkFileName, type RepositoryCache, sizeOfFile } from "./cache.js";
import { describeCached } from "./cached-model.js";
import { downloadFiles } from "./download.js";
import { explainReadError } from "./explain-error.js";
import { HubFile, type Snapshot } from "./hub-file.js";
import { type HubEntry, type HubListing, listFolder, listRepository } from "./listing.js";
import type { WantedModel } from "./reference.js";
import { withRetries } from "./retry.js";
import type { HubSession } from "./session.js";

/** What a repository holds of a model, and what the cache lacks of it. */
export interface LocatedModel extends Snapshot {
  /** The snapshot's folder. */
  readonly path: string;
  /** In the snapshot, where it is already; null where the weights have no index. */
  readonly indexPath: string | null;
  /** The weights files, in order. */
  readonly weights: readonly HubEntry[];
  /** What the cache lacks of them. */
  readonly absentWeights: readonly HubFile[];
  /** What the cache lacks of config and tokenizer. */
  readonly absentAssets: readonly HubFile[];
}

/** `owner/name@main (commit 0123456789ab)`. */
export function describeLocated({ wanted, commit }: LocatedModel): string {
  return `${wanted.repository}@${wanted.revision} (commit ${commit.slice(0, 12)})`;
}

export function bytesOf(entries: readonly HubEntry[]): number {
  return entries.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** `13.5 GB in 3 files`. */
export function describeAmount(files: readonly HubFile[]): string {
  return `${formatBytes(bytesOf(files.map(({ entry }) => entry)))} in ${plural(files.length, "file")}`;
}

/** Beside the weights of a model that is verified may lie anything. */
const MOST_BESIDE_BYTES = 16_000_000;

const OWNER_CAN_HELP = "Choose another revision, or tell the repository's owner.";

/**
 * Asks the repository what it holds, downloads the shard index, which says what else is needed, and makes sure that the
 * rest may be downloaded. Files that the cache has for another commit are shown in the snapshot.
 */
export async function locateModel(
  wanted: WantedModel,
  cache: RepositoryCache,
  session: HubSession,
): Promise<LocatedModel> {
  const { repository } = wanted;
  const { commit, entries } = await listFor(wanted, cache, session);
  const byName = new Map(entries.map((entry) => [entry.path, entry]));
  const isCached = (name: string) => cache.sizeOf(commit, name) === byName.get(name)?.byteLength;
  const entryOf = (name: string): HubEntry => {
    const entry = byName.get(name);
    if (entry !== undefined) return entry;
    throw new ApplyDeltaError("shard-missing", "The repository lacks a file that its index names.", {
      file: `${repository}/${name}`,
      hint: OWNER_CAN_HELP,
    });
  };
  const snapshot = { wanted, cache, commit };
  const isAbsent = ({ blobPath, entry }: HubFile) => {
    if (isCached(entry.path)) return false;
    if (sizeOfFile(blobPath) !== entry.byteLength) return true;
    cache.addToSnapshot(commit, entry.path, entry.etag, false);
    return false;
  };
  const absentOf = (some: readonly HubEntry[]) =>
    some.map((entry) => new HubFile(session, snapshot, entry)).filter(isAbsent);
  const names = [...byName.keys()].sort();
  const chosen = chooseInRepository(withoutUncached(names, isCached), repository);
  if (chosen === null) throw noWeights(repository, names, HUB_WORDS);
  if (chosen.isWhole && wanted.isDelta) throw notADelta(repository, chosen.files.join(", "));
  const path = cache.snapshotFolder(commit);
  const indexPath = chosen.index === null ? null : join(path, chosen.index);
  if (chosen.index !== null) {
    const index = entryOf(chosen.index);
    // It comes before the amount is known and the disk is checked, so it must be small, and needs no progress bar.
    if (index.byteLength > MAX_INDEX_BYTES) throw tooLarge(repository, index);
    await downloadFiles(absentOf([index]), session, silentReporter);
  }
  const weights = (indexPath === null ? chosen.files : (await readIndex(indexPath)).shards).map(entryOf);
  const assets = new Set([...ASSET_NAMES.filter((name) => names.includes(name)), ...chosen.companions]);
  for (const { path, byteLength } of [...assets].map(entryOf))
    checkAssetSize(`${repository}/${path}`, byteLength);
  if (wanted.withAllFiles === true)
    for (const { path, byteLength } of entries)
      if (byteLength <= MOST_BESIDE_BYTES && !holdsWeights([path]) && !path.includes("/")) assets.add(path);
  const absentAssets = absentOf([...assets].map(entryOf));
  const absentWeights = absentOf(weights);
  // Asks for the largest file, which is weights: config files are in the open even where a repository is gated.
  const absent = [...absentAssets, ...absentWeights];
  const [largest] = absent.sort((a, b) => b.entry.byteLength - a.entry.byteLength);
  if (largest !== undefined && largest.entry.byteLength > 0) await largest.probe();
  return { ...snapshot, path, indexPath, weights, absentWeights, absentAssets };
}

async function listFor(
  wanted: WantedModel,
  cache: RepositoryCache,
  session: HubSession,
): Promise<HubListing> {
  try {
    const listing = await withRetries(session.retrier, () => listRepository(session, wanted));
    const entries = [...listing.entries, ...(await listInner(wanted, listing, session))];
    for (const { path } of entries) checkFileName(wanted.repository, path);
    return { ...listing, entries };
  } catch (caught) {
    const error = explainReadError(caught, wanted, session);
    if (!isApplyDeltaError(error, "no-network")) throw error;
    // Without a network the cache may do.
    const hint = `${error.details.hint ?? ""} ${await describeCached(cache, wanted)}`.trim();
    throw new ApplyDeltaError(error.code, error.message, { ...error.details, hint });
  }
}

/** What is in the folder of the original weights, where the top folder holds no weights. */
async function listInner(
  { repository }: WantedModel,
  { commit, entries, folders }: HubListing,
  session: HubSession,
): Promise<readonly HubEntry[]> {
  const folder = folders.find((name) => HUB_FOLDERS.includes(name));
  if (folder === undefined || holdsWeights(entries.map(({ path }) => path))) return [];
  const reference = { repository, revision: commit };
  const inner = await withRetries(session.retrier, () => listFolder(session, reference, folder));
  return inner.entries;
}

const HUB_WORDS = {
  what: "repository",
  hint: "Check the name and the revision on the repository's page.",
};

/** A format that the cache has as a whole isn't fetched in the other one: then without the names of safetensors. */
function withoutUncached(names: readonly string[], isCached: (name: string) => boolean): readonly string[] {
  const isSafetensors = (name: string) => /\.safetensors(?:\.index\.json)?$/.test(name);
  const torch = names.filter((name) => /^pytorch_model.*\.bin(?:\.index\.json)?$/.test(name));
  const hasTorchOnly = torch.length > 0 && torch.every(isCached);
  if (!hasTorchOnly || names.some((name) => isSafetensors(name) && isCached(name))) return names;
  return names.filter((name) => !isSafetensors(name));
}

function tooLarge(repository: string, { path, byteLength }: HubEntry): ApplyDeltaError {
  return new ApplyDeltaError("index-malformed", "The shard index is too large.", {
    file: `${repository}/${path}`,
    expected: `at most ${MAX_INDEX_BYTES} bytes`,
    got: `${byteLength} bytes`,
    hint: OWNER_CAN_HELP,
  });
}
