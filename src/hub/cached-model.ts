/**
 * In: a repository's cache and a revision. Out: its snapshot, whole, without a word to the network.
 * Guards: a snapshot that lacks a file of its weights isn't taken for a model.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { openLocalFile } from "../files/local-file.js";
import { chooseWeights } from "../formats/find-weights.js";
import { readShardIndex } from "../formats/shard-index.js";
import { onCache, type RepositoryCache } from "./cache.js";
import type { HubReference } from "./reference.js";

/** A model on the Hub that is asked for. */
export interface WantedModel extends HubReference {
  /** As the user gave it. */
  readonly reference: string;
}

export interface CachedModel {
  readonly path: string;
  readonly commit: string;
}

/** Errors: `not-in-cache`, and those of a shard index. */
export async function cachedModel(cache: RepositoryCache, wanted: WantedModel): Promise<CachedModel> {
  const { repository, revision } = wanted;
  const commit = cache.readRef(revision);
  const missing = commit === null ? null : await missingFiles(cache, commit);
  if (commit !== null && missing?.length === 0) return { path: cache.snapshotFolder(commit), commit };
  const others = commitsOf(cache).filter((other) => other !== commit);
  const has =
    missing === null || missing === undefined
      ? others.length === 0
        ? "nothing of it"
        : `other commits of it: ${others.slice(0, 5).join(", ")}`
      : `commit ${commit} without ${missing.slice(0, 5).join(", ")}${missing.length > 5 ? ", …" : ""}`;
  const what = `${JSON.stringify(wanted.reference)} isn't a local path, and not in the Hub's cache as a whole.`;
  throw new ApplyDeltaError("not-in-cache", what, {
    file: `${repository}@${revision}`,
    expected: `its files in ${cache.folder}`,
    got: has,
    hint: "Run once without --offline and HF_HUB_OFFLINE, or give a local folder.",
  });
}

/** What the cache has of a model, as the end of a sentence. */
export async function describeCached(cache: RepositoryCache, wanted: WantedModel): Promise<string> {
  try {
    const { commit } = await cachedModel(cache, wanted);
    return `the cache has it as a whole, as of commit ${commit.slice(0, 12)}: add --offline to use that`;
  } catch (error) {
    if (!(error instanceof ApplyDeltaError)) throw error;
    return `the cache has ${error.details.got ?? "nothing that can be used"}`;
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
  return onCache(folder, () => {
    try {
      return readdirSync(folder).sort();
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
  });
}
