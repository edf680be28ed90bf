/**
 * The variables that are read, in one table: the help prints it, and reading one that isn't in it is an error
 * of types.
 */

export interface VariableDescription {
  /** Its names, the usual one first. */
  readonly names: readonly string[];
  readonly meaning: string;
}

export const VARIABLES = [
  { names: ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"], meaning: "a token for the Hub" },
  { names: ["HF_TOKEN_PATH"], meaning: "the file with the token; default: token in HF_HOME" },
  { names: ["HF_HUB_DISABLE_IMPLICIT_TOKEN"], meaning: "1: send no token but that of --token" },
  { names: ["HF_HOME"], meaning: "folder of the cache and the token; default: ~/.cache/huggingface" },
  { names: ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"], meaning: "the cache; default: hub in HF_HOME" },
  { names: ["XDG_CACHE_HOME"], meaning: "where HF_HOME is by default, instead of ~/.cache" },
  { names: ["HF_ENDPOINT"], meaning: "the Hub's address, or a mirror's" },
  { names: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"], meaning: "1: use what is in the cache, as --offline" },
  { names: ["HF_HUB_DOWNLOAD_TIMEOUT"], meaning: "seconds without a byte until a request is made again" },
  { names: ["HF_HUB_DISABLE_XET"], meaning: "1: download over plain HTTP" },
  { names: ["HTTPS_PROXY", "https_proxy"], meaning: "a proxy for https" },
  { names: ["HTTP_PROXY", "http_proxy"], meaning: "a proxy for http" },
  { names: ["ALL_PROXY", "all_proxy"], meaning: "a proxy where neither of these is set" },
  { names: ["NO_PROXY", "no_proxy"], meaning: "hosts that are reached without a proxy" },
  { names: ["NO_COLOR"], meaning: "not empty: no colours" },
  { names: ["FORCE_COLOR"], meaning: "1: colours without a terminal, too; 0: none" },
  { names: ["TERM"], meaning: "dumb: no colours, and lines instead of a bar" },
] as const satisfies readonly VariableDescription[];

export type VariableName = (typeof VARIABLES)[number]["names"][number];

/** `process.env`, as far as this program may look at it. */
export type Environment = { readonly [Name in VariableName]?: string | undefined };

export function environment(): Environment {
  return process.env;
}
