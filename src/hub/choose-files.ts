import { chooseWeights, noWeights } from "../formats/find-weights.js";
import { ASSET_NAMES } from "../llama/file-names.js";

export interface ChosenFiles {
  /** Config and tokenizer. */
  readonly assets: readonly string[];
  /** The index, which names the shards; null where `weights` is all there is. */
  readonly index: string | null;
  /** Weights files where there is no index. */
  readonly weights: readonly string[];
}

/**
 * The files of a repository that a merge needs: weights in one format by the rule for local folders, their index, config
 * and tokenizer. `isCached` says what is in the cache: a format that is there as a whole isn't fetched in the other one.
 * `where` names the repository in an error. Errors: `no-weights`, `shard-missing`.
 */
export function chooseFiles(
  names: readonly string[],
  isCached: (name: string) => boolean,
  where: string,
): ChosenFiles {
  const chosen = chooseWeights(withoutUncached(names, isCached), where);
  if (chosen === null) throw noWeights(where, names, HUB_WORDS);
  return {
    assets: ASSET_NAMES.filter((name) => names.includes(name)),
    index: chosen.index,
    weights: chosen.files,
  };
}

const HUB_WORDS = {
  what: "repository",
  hint: "Check the name and the revision on the repository's page.",
};

/** The names without the safetensors, where all PyTorch files are cached and no safetensors is. */
function withoutUncached(names: readonly string[], isCached: (name: string) => boolean): readonly string[] {
  const isSafetensors = (name: string) => /\.safetensors(?:\.index\.json)?$/.test(name);
  const torch = names.filter((name) => /^pytorch_model.*\.bin(?:\.index\.json)?$/.test(name));
  if (
    torch.length === 0 ||
    !torch.every(isCached) ||
    names.some((name) => isSafetensors(name) && isCached(name))
  )
    return names;
  return names.filter((name) => !isSafetensors(name));
}
