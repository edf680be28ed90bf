import { ApplyDeltaError } from "../errors.js";
import type { ProxySettings } from "./settings.js";

/**
 * The proxy to go through, or null. The rules of NO_PROXY are curl's and Python's: a list of hosts, each with its
 * subdomains, with or without a port, and of IPv4 networks (`10.0.0.0/8`); `*` is every host.
 * Errors: `bad-usage` for a kind of proxy that isn't supported.
 */
export function proxyFor(url: URL, { http, https, except }: ProxySettings): string | null {
  const proxy = url.protocol === "https:" ? https : http;
  if (proxy === null || proxy === "" || isExcepted(url, except)) return null;
  // `localhost:3128` would be read as a URL of the scheme `localhost`.
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  if (/^https?:\/\//i.test(full) && URL.canParse(full)) return full;
  throw new ApplyDeltaError("bad-usage", "This kind of proxy isn't supported.", {
    // The rest may hold a password.
    got: `${full.slice(0, full.indexOf(":"))}://…`,
    expected: "http://host:port or https://host:port",
    hint: "Set HTTPS_PROXY to an HTTP proxy, or exclude the host with NO_PROXY.",
  });
}

/** Two colons: the last one starts no port. */
const IPV6 = /^[\da-f:.]*:[\da-f.]*:[\da-f:.]*$/;
const NAME_AND_PORT = /^(.*?)(?::(\d+))?$/;

/** Whether a host is an address in a network that is written as `10.0.0.0/8`. */
function isInSubnet(host: string, entry: string): boolean {
  const [network = "", bits = ""] = entry.split("/");
  const [address, first] = [addressOf(host), addressOf(network)];
  if (address === null || first === null || !/^\d\d?$/.test(bits) || Number(bits) > 32) return false;
  const size = 2 ** (32 - Number(bits));
  return Math.floor(address / size) === Math.floor(first / size);
}

/** `1.2.3.4` as a number, or null for anything else. */
function addressOf(text: string): number | null {
  const parts = /^\d{1,3}(?:\.\d{1,3}){3}$/.test(text) ? text.split(".").map(Number) : [256];
  return parts.every((part) => part < 256) ? parts.reduce((sum, part) => sum * 256 + part, 0) : null;
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
      const [, name = "", wantedPort] = IPV6.test(entry) ? ["", entry] : (NAME_AND_PORT.exec(entry) ?? []);
      const bare = name.replace(/^\*?\./, "").replace(/^\[(.*)\]$/, "$1");
      return (
        (host === bare || host.endsWith(`.${bare}`)) && (wantedPort === undefined || wantedPort === port)
      );
    });
}
