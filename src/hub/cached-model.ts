/** Models as the cache has them, without asking the network. A snapshot that lacks a shard isn't a model. */
import { join } from "node:path";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { HUB_FOLDERS } from "../formats/find-parts.js";
import { chooseInRepository } from "../formats/find-weights.js";
import { readIndex } from "../formats/open.js";
import { firstFew } from "../units.js";
import { namesIn, type RepositoryCache } from "./cache.js";
import type { WantedModel } from "./reference.js";

/** Its snapshot's folder and commit. Errors: `not-in-cache`, and those of a shard index. */
export async function findCachedModel(
  cache: RepositoryCache,
  { repository, revision, reference }: WantedModel,
): Promise<{ path: string; commit: string }> {
  const commit = cache.findCommit(revision);
  const missing = commit === null ? null : await missingFiles(cache, commit);
  if (commit !== null && missing?.length === 0) return { path: cache.snapshotFolder(commit), commit };
  const others = namesIn(join(cache.folder, "snapshots")).filter((other) => other !== commit);
  let got = others.length > 0 ? `other commits: ${firstFew(others)}` : "nothing of it";
  if (missing !== null) got = `commit ${commit} without ${firstFew(missing)}`;
  const state = missing === null ? "not been downloaded" : "only been downloaded in part";
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
    if (!isApplyDeltaError(error)) throw error;
    return `The cache holds ${error.details.got ?? "nothing usable"}.`;
  }
}

/** Names of what a snapshot lacks; null where there is no snapshot. */
async function missingFiles(cache: RepositoryCache, commit: string): Promise<string[] | null> {
  const folder = cache.snapshotFolder(commit);
  const inner = HUB_FOLDERS.flatMap((name) =>
    namesIn(join(folder, name)).map((inside) => `${name}/${inside}`),
  );
  const names = [...namesIn(folder), ...inner].filter((name) => cache.sizeOf(commit, name) !== null);
  if (names.length === 0) return null;
  const index = indexAmong(names);
  if (index === undefined) return ["its weights"];
  const shards = index === null ? [] : (await readIndex(join(folder, index))).shards;
  return shards.filter((shard) => cache.sizeOf(commit, shard) === null);
}

/** Null where the weights have none; undefined where there are no weights, or a set of shards has a gap. */
function indexAmong(names: readonly string[]): string | null | undefined {
  try {
    return chooseInRepository(names, "")?.index;
  } catch (error) {
    if (isApplyDeltaError(error)) return undefined;
    throw error;
  }
}
