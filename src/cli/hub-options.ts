/**
 * How the Hub is reached, by the options and the environment. The variables and their defaults are
 * those of Python's huggingface_hub (`constants.py`), so that both share a cache and a login.
 */
import { homedir } from "node:os";
import { join } from "node:path";
import type { HubOptions } from "../index.js";
import { type Environment, environment, type VariableName } from "./environment.js";

/** What was given, else what the environment says. */
export function hubOptionsOf(given: HubOptions = {}, env: Environment = environment()): HubOptions {
  const path = (name: VariableName) => expand(env[name], env);
  const isOn = (name: VariableName) => /^(?:1|on|yes|true)$/i.test(env[name] ?? "");
  const home = path("HF_HOME") ?? join(path("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "huggingface");
  const isAnonymous = isOn("HF_HUB_DISABLE_IMPLICIT_TOKEN");
  const stored = isAnonymous ? null : ((env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN) ?? null);
  const stallSeconds = Number(env.HF_HUB_DOWNLOAD_TIMEOUT);
  return {
    ...(env.HF_ENDPOINT ? { endpoint: env.HF_ENDPOINT.replace(/\/+$/, "") } : {}),
    cacheFolder: path("HF_HUB_CACHE") ?? path("HUGGINGFACE_HUB_CACHE") ?? join(home, "hub"),
    token: stored === "" ? null : stored,
    tokenFile: isAnonymous ? null : (path("HF_TOKEN_PATH") ?? join(home, "token")),
    offline: isOn("HF_HUB_OFFLINE") || isOn("TRANSFORMERS_OFFLINE"),
    useXet: !isOn("HF_HUB_DISABLE_XET"),
    proxy: {
      http: env.http_proxy ?? env.HTTP_PROXY ?? env.all_proxy ?? env.ALL_PROXY ?? null,
      https: env.https_proxy ?? env.HTTPS_PROXY ?? env.all_proxy ?? env.ALL_PROXY ?? null,
      except: env.no_proxy ?? env.NO_PROXY ?? "",
    },
    transfer: stallSeconds > 0 ? { stallMs: stallSeconds * 1000 } : {},
    ...given,
  };
}

/** `~` and `$NAME`, as Python expands them in these variables; an empty one counts as none. */
function expand(
  text: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  if (text === undefined || text === "") return undefined;
  const expanded = text.replace(
    /\$(?:(\w+)|\{(\w+)\})/g,
    (whole, bare, braced) => env[bare ?? braced] ?? whole,
  );
  return expanded.replace(/^~(?=$|[/\\])/, homedir());
}
