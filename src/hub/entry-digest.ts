import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { openLocalFile } from "../files/local-file.js";
import { type Sha256Options, sha256Files } from "../workers/sha256.js";
import type { HubEntry } from "./listing.js";

/**
 * The digest that a local file has on the Hub: SHA-256 for LFS files, in a thread; for others git's name of a blob, a
 * SHA-1 of a head and the content.
 */
export async function digestOf(
  path: string,
  { etag, byteLength }: HubEntry,
  options: Sha256Options = {},
): Promise<string> {
  if (etag.length === 64) {
    const file = openLocalFile(path);
    try {
      const [digest] = await sha256Files([file], options);
      return file.byteLength === byteLength ? (digest?.sha256 ?? "") : `${file.byteLength} bytes`;
    } finally {
      file.close();
    }
  }
  const sum = createHash("sha1").update(`blob ${byteLength}\0`);
  for await (const bytes of createReadStream(path)) sum.update(bytes as Buffer);
  return sum.digest("hex");
}
