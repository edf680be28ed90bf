/**
 * `SHA256SUMS`: the SHA-256 of every other file of a target, as `sha256sum -c` reads it. No name leads out of the
 * folder; a line that is anything else is an error, not a file less to check.
 */
import { join } from "node:path";
import { openLocalFile } from "../files/local-file.js";
import { linesOf } from "../files/small-file.js";
import type { RemoteWeights } from "../formats/open.js";
import type { Reporter } from "../progress.js";
import { compareNames, type OpenFile } from "../tensor.js";
import { type Sha256Options, sha256Files } from "../workers/sha256.js";
import { malformedRecord, readRecord } from "./read-record.js";
import type { Staging } from "./staging.js";

export const CHECKSUMS = "SHA256SUMS";

/** A target has some ten files. */
const MOST_LINES = 1 << 13;

/** Digest, a space, then a space or `*` (text or binary, which sha256sum takes alike), the name. */
const LINE = /^([0-9a-f]{64}) [ *](?:\.\/)?([^/\\]+)$/;

/**
 * The SHA-256 of files of a folder, by name, several at a time; `remote` opens those that lie elsewhere.
 * Errors: those of opening and reading; `interrupted`.
 */
export async function checksumFiles(
  folder: string,
  names: readonly string[],
  options: Sha256Options,
  remote: RemoteWeights | null = null,
): Promise<Map<string, string>> {
  const files: OpenFile[] = [];
  try {
    for (const name of names)
      files.push(remote?.absent.includes(name) ? remote.open(name) : openLocalFile(join(folder, name)));
    const digests = await sha256Files(files, options);
    return new Map(digests.map(({ sha256 }, i) => [names[i] as string, sha256]));
  } finally {
    for (const file of files) file.close();
  }
}

/** Writes the SHA-256 of every file named to `fileName`. Errors: those of reading; `interrupted`. */
export async function writeChecksums(
  staging: Staging,
  fileName: string,
  names: readonly string[],
  { reporter, signal }: { readonly reporter: Reporter; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const sha256Of = await checksumFiles(staging.folder, [...names].sort(compareNames), {
    signal,
    // Shards are written past the page cache: this reads them several at a time, ahead of the hash.
    fromDisk: true,
    onProgress: (progress) =>
      reporter.progress({ activity: "writing checksums", ...progress, current: fileName }),
  });
  const lines = [...sha256Of].map(([name, sha256]) => `${sha256}  ${name}\n`);
  staging.writeFile(fileName, lines.join(""));
}

/** Reads `fileName`, ours or of `sha256sum *`; null where there is none. Errors: `record-malformed`. */
export function readChecksums(folder: string, fileName = CHECKSUMS): Map<string, string> | null {
  const path = join(folder, fileName);
  const text = readRecord(path);
  if (text === null) return null;
  const sha256Of = new Map<string, string>();
  let number = 0;
  for (const line of linesOf(text)) {
    if (++number > MOST_LINES) throw malformedRecord(path, `it has more than ${MOST_LINES} lines`);
    const [, sha256, name] = LINE.exec(line) ?? [];
    if (sha256 === undefined || name === undefined) {
      throw malformedRecord(path, `line ${number} is not a checksum and a name`, line.slice(0, 100));
    }
    if (sha256Of.has(name)) throw malformedRecord(path, `line ${number} names a file a second time`, name);
    sha256Of.set(name, sha256);
  }
  if (sha256Of.size === 0) throw malformedRecord(path, "it is empty", "no line");
  return sha256Of;
}
