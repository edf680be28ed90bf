/**
 * In: a URL and the proxies of the environment. Out: the proxy to go through, or null.
 * The rules of NO_PROXY are curl's and Python's: a list of hosts, each with its subdomains, with or without a port;
 * `*` is every host.
 */
import { ApplyDeltaError } from "../errors.js";
import type { ProxySettings } from "./hub-settings.js";

/** Errors: `bad-usage` where the proxy is of a kind that isn't spoken. */
export function proxyFor(url: URL, { http, https, except }: ProxySettings): string | null {
  const proxy = url.protocol === "https:" ? https : http;
  if (proxy === null || proxy === "" || isExcepted(url, except)) return null;
  // `localhost:3128` would be read as a URL of the scheme `localhost`.
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  if (/^https?:\/\//i.test(full) && URL.canParse(full)) return full;
  throw new ApplyDeltaError("bad-usage", "The proxy of the environment can't be used.", {
    // The rest may hold a password.
    got: `${full.slice(0, full.indexOf(":"))}://…`,
    expected: "http://host:port or https://host:port",
    hint: "Set HTTPS_PROXY to an HTTP proxy, or take the host out of it with NO_PROXY.",
  });
}

function isExcepted(url: URL, except: string): boolean {
  const host = url.hostname.toLowerCase();
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  return except
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      if (entry === "*") return true;
      const [, name = "", wantedPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      const bare = name.replace(/^\*?\./, "");
      return (
        (host === bare || host.endsWith(`.${bare}`)) && (wantedPort === undefined || wantedPort === port)
      );
    });
}
