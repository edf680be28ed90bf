/** Models as the cache has them, without asking the network. A snapshot that lacks a shard is no model. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { openLocalFile } from "../files/local-file.js";
import { chooseWeights } from "../formats/find-weights.js";
import { readShardIndex } from "../formats/shard-index.js";
import { firstFew } from "../units.js";
import { onCache, type RepositoryCache } from "./cache.js";
import type { WantedModel } from "./reference.js";

export interface CachedModel {
  readonly path: string;
  readonly commit: string;
}

/** Errors: `not-in-cache`, and those of a shard index. */
export async function findCachedModel(cache: RepositoryCache, wanted: WantedModel): Promise<CachedModel> {
  const { repository, revision, reference } = wanted;
  const commit = cache.readRef(revision);
  const missing = commit === null ? null : await missingFiles(cache, commit);
  if (commit !== null && missing?.length === 0) return { path: cache.snapshotFolder(commit), commit };
  const others = commitsOf(cache).filter((other) => other !== commit);
  const isPartial = missing !== null && missing.length > 0;
  const got = isPartial
    ? `commit ${commit} without ${firstFew(missing)}`
    : others.length > 0
      ? `other commits: ${firstFew(others)}`
      : "nothing of it";
  const state = isPartial ? "only been downloaded in part" : "not been downloaded";
  throw new ApplyDeltaError("not-in-cache", `${reference} is not a local path and has ${state}.`, {
    file: `${repository}@${revision}`,
    expected: `its files in ${cache.folder}`,
    got,
    hint: "Run once without --offline and HF_HUB_OFFLINE, or give a local folder.",
  });
}

/** What the cache has of a model, as a sentence. */
export async function describeCached(cache: RepositoryCache, wanted: WantedModel): Promise<string> {
  try {
    const { commit } = await findCachedModel(cache, wanted);
    return `The cache holds commit ${commit.slice(0, 12)} of it: add --offline to use that.`;
  } catch (error) {
    if (!(error instanceof ApplyDeltaError)) throw error;
    return `The cache holds ${error.details.got ?? "nothing usable"}.`;
  }
}

/** Names of what a snapshot lacks; null where there is no snapshot. */
async function missingFiles(cache: RepositoryCache, commit: string): Promise<string[] | null> {
  const names = namesIn(cache.snapshotFolder(commit)).filter((name) => cache.sizeOf(commit, name) !== null);
  if (names.length === 0) return null;
  const chosen = weightsAmong(names);
  if (chosen === null) return ["its weights"];
  if (chosen.index === null) return [];
  const shards = await shardsOf(join(cache.snapshotFolder(commit), chosen.index));
  return shards.filter((shard) => cache.sizeOf(commit, shard) === null);
}

function weightsAmong(names: readonly string[]) {
  try {
    return chooseWeights(names, "");
  } catch (error) {
    if (error instanceof ApplyDeltaError) return null; // A set of shards with a gap.
    throw error;
  }
}

/** The shards an index names. */
export async function shardsOf(indexPath: string): Promise<readonly string[]> {
  const file = openLocalFile(indexPath);
  try {
    return (await readShardIndex(file)).shards;
  } finally {
    file.close();
  }
}

function commitsOf(cache: RepositoryCache): string[] {
  return namesIn(join(cache.folder, "snapshots"));
}

function namesIn(folder: string): string[] {
  return onCache(folder, () => (existsSync(folder) ? readdirSync(folder).sort() : []));
}
