import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { openSmallFile } from "../files/small-file.js";
import type { HubSettings } from "./settings.js";

/** Mozilla's bundle has some 220 kB. */
const MAX_BUNDLE_BYTES = 4_000_000;
const MOST_FILES = 1000;

/** As OpenSSL names certificates in a folder: by a hash. */
const HASHED = /^[0-9a-f]{8}\.\d+$/;

/**
 * What TLS trusts: Node's own certificates and those of the settings; null where there are none, so that
 * NODE_EXTRA_CA_CERTS and --use-openssl-ca work as ever. Other programs set these variables, too, and nobody means this
 * one by a folder that is gone: it is as good as none.
 */
export function trustedCertificates({ file, folder }: HubSettings["certificates"]): SecureContext | null {
  const paths = [...(file === null ? [] : [file]), ...(folder === null ? [] : hashedIn(folder))];
  const bundles = new Set(paths.flatMap(readBundle));
  if (bundles.size === 0) return null;
  // Made once: it takes a while, and each connection would make its own.
  return createSecureContext({ ca: [...rootCertificates, ...bundles] });
}

function hashedIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => HASHED.test(name));
    return names.slice(0, MOST_FILES).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function readBundle(path: string): string[] {
  try {
    const file = openSmallFile(path, MAX_BUNDLE_BYTES);
    return file.kind === "bytes" ? [file.bytes.toString("latin1")] : [];
  } catch {
    return [];
  }
}
