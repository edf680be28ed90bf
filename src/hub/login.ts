import { dirname, join } from "node:path";
import { openSmallFile } from "../files/small-file.js";

/** Some hundred bytes a login; stops a file that would fill the memory. */
const MAX_LOGINS_BYTES = 1_000_000;

/**
 * Whether the login that a token file holds has run out, by `stored_tokens` beside it: sections in the manner of INI
 * files, with `hf_token`, and since huggingface_hub 2 `expires_at` in seconds (`_auth.py`). Python renews a login when
 * it is used; this program doesn't write there.
 */
export function hasLoginExpired(tokenFile: string, now = Date.now()): boolean {
  try {
    const token = textOf(tokenFile).trim();
    const sections = textOf(join(dirname(tokenFile), "stored_tokens")).split(/^\[.*\]$/m);
    const own = sections.find((section) => /^hf_token\s*=\s*(.*)$/m.exec(section)?.[1]?.trim() === token);
    const expiresAt = /^expires_at\s*=\s*(\d+)/m.exec(own ?? "")?.[1];
    return expiresAt !== undefined && Number(expiresAt) * 1000 <= now;
  } catch {
    return false; // It is only for the hint.
  }
}

function textOf(path: string): string {
  const file = openSmallFile(path, MAX_LOGINS_BYTES);
  return file.kind === "bytes" ? file.bytes.toString("utf8") : "";
}
