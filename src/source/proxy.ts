/**
 * In: a URL and the proxies of the environment. Out: the proxy to go through, or null.
 * The rules of NO_PROXY are curl's and Python's: a list of hosts, each with its subdomains, with or without a port, and
 * of networks (`10.0.0.0/8`); `*` is every host.
 */
import { BlockList, isIP } from "node:net";
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

const NAME_AND_PORT = /^(.*?)(?::(\d+))?$/;

/** Whether a host is an address in a network that is written as `10.0.0.0/8`. */
function isInSubnet(host: string, entry: string): boolean {
  const [, network = "", bits = ""] = /^(.+)\/(\d{1,3})$/.exec(entry) ?? [];
  const family = isIP(network);
  if (family === 0 || isIP(host) !== family || Number(bits) > (family === 4 ? 32 : 128)) return false;
  const kind = family === 4 ? "ipv4" : "ipv6";
  const list = new BlockList();
  list.addSubnet(network, Number(bits), kind);
  return list.check(host, kind);
}

function isExcepted(url: URL, except: string): boolean {
  // An IPv6 address stands in brackets there.
  const host = url.hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  return except
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      if (entry === "*" || isInSubnet(host, entry)) return true;
      const [, name = "", wantedPort] = isIP(entry) === 6 ? ["", entry] : (NAME_AND_PORT.exec(entry) ?? []);
      const bare = name.replace(/^\*?\./, "").replace(/^\[(.*)\]$/, "$1");
      return (
        (host === bare || host.endsWith(`.${bare}`)) && (wantedPort === undefined || wantedPort === port)
      );
    });
}
