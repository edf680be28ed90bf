/** What the environment says: the variables that are read, and how the Hub is reached by them. */
import { homedir } from "node:os";
import { join } from "node:path";
import type { HubOptions } from "../index.js";

/** Every variable that is read, its usual name first. The help prints them; another can't be read, by its type. */
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
  { names: ["HF_HUB_ETAG_TIMEOUT"], meaning: "seconds until a request must be answered" },
  { names: ["HF_HUB_DISABLE_SYMLINKS"], meaning: "1: no links in the cache" },
  { names: ["HF_HUB_DISABLE_PROGRESS_BARS"], meaning: "1: no progress" },
  { names: ["SSL_CERT_FILE"], meaning: "certificates to trust besides Node's, as PEM" },
  { names: ["SSL_CERT_DIR"], meaning: "a folder of them" },
  { names: ["HTTPS_PROXY", "https_proxy"], meaning: "a proxy for https" },
  { names: ["HTTP_PROXY", "http_proxy"], meaning: "a proxy for http" },
  { names: ["ALL_PROXY", "all_proxy"], meaning: "a proxy where neither of these is set" },
  { names: ["NO_PROXY", "no_proxy"], meaning: "hosts that are reached without a proxy" },
  { names: ["SLURM_ARRAY_TASK_ID"], meaning: "with --part slurm: the task, which is the part" },
  { names: ["SLURM_ARRAY_TASK_MIN"], meaning: "with --part slurm: the first task" },
  { names: ["SLURM_ARRAY_TASK_STEP"], meaning: "with --part slurm: from one task to the next" },
  { names: ["SLURM_ARRAY_TASK_COUNT"], meaning: "with --part slurm: how many tasks there are" },
  { names: ["JOB_COMPLETION_INDEX"], meaning: "with --part kubernetes/n: the pod's part, from 0" },
  { names: ["NO_COLOR"], meaning: "not empty: no colours" },
  { names: ["FORCE_COLOR"], meaning: "1: colours without a terminal, too; 0: none" },
  { names: ["TERM"], meaning: "dumb: no colours, and lines instead of a bar" },
] as const;

type VariableName = (typeof VARIABLES)[number]["names"][number];

/** `process.env`, as far as this program may look at it. */
export type Environment = { readonly [Name in VariableName]?: string | undefined };

export function environment(): Environment {
  return process.env;
}

/**
 * What was given, else what the environment says. The variables and their defaults are those of Python's
 * huggingface_hub (`constants.py`), so that both share a cache and a login.
 */
export function hubOptionsOf(given: HubOptions = {}, env: Environment = environment()): HubOptions {
  const path = (name: VariableName) => expand(env[name], env);
  const isOn = (name: VariableName) => isSet(env[name]);
  const home = path("HF_HOME") ?? join(path("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "huggingface");
  const isAnonymous = isOn("HF_HUB_DISABLE_IMPLICIT_TOKEN");
  const token = isAnonymous ? "" : env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN;
  const stallSeconds = Number(env.HF_HUB_DOWNLOAD_TIMEOUT);
  const answerSeconds = Number(env.HF_HUB_ETAG_TIMEOUT);
  return {
    ...(env.HF_ENDPOINT ? { endpoint: env.HF_ENDPOINT.replace(/\/+$/, "") } : {}),
    cacheFolder: path("HF_HUB_CACHE") ?? path("HUGGINGFACE_HUB_CACHE") ?? join(home, "hub"),
    token: token || null,
    tokenFile: isAnonymous ? null : (path("HF_TOKEN_PATH") ?? join(home, "token")),
    offline: isOn("HF_HUB_OFFLINE") || isOn("TRANSFORMERS_OFFLINE"),
    useXet: !isOn("HF_HUB_DISABLE_XET"),
    useLinks: !isOn("HF_HUB_DISABLE_SYMLINKS"),
    certificates: { file: path("SSL_CERT_FILE") ?? null, folder: path("SSL_CERT_DIR") ?? null },
    proxy: {
      http: env.http_proxy ?? env.HTTP_PROXY ?? env.all_proxy ?? env.ALL_PROXY ?? null,
      https: env.https_proxy ?? env.HTTPS_PROXY ?? env.all_proxy ?? env.ALL_PROXY ?? null,
      except: env.no_proxy ?? env.NO_PROXY ?? "",
    },
    transfer: {
      ...(stallSeconds > 0 ? { stallMs: stallSeconds * 1000 } : {}),
      ...(answerSeconds > 0 ? { answerMs: answerSeconds * 1000 } : {}),
    },
    ...given,
  };
}

/** As huggingface_hub reads its switches. */
export function isSet(text: string | undefined): boolean {
  return /^(?:1|on|yes|true)$/i.test(text ?? "");
}

/** Expands `~` and `$NAME` as Python does in these variables. An empty one counts as none. */
function expand(text: string | undefined, env: Readonly<Record<string, string | undefined>>) {
  if (!text) return undefined;
  return text
    .replace(/\$(?:(\w+)|\{(\w+)\})/g, (whole, bare, braced) => env[bare ?? braced] ?? whole)
    .replace(/^~(?=$|[/\\])/, homedir());
}
