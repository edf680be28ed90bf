/** The files of a target that say what is in it, written after all the others. */
import { ApplyDeltaError, EXIT, isApplyDeltaError } from "../errors.js";
import type { Reporter } from "../progress.js";
import { encodeProvenance, type MergeRecord, PROVENANCE, recordTarget } from "./provenance.js";
import { CHECKSUMS, checksumFiles, encodeChecksums } from "./sha256sums.js";
import type { Staging } from "./staging.js";

/** Writes what the target was made from; `names`: every other file beside the weights. Errors: `target-altered`. */
export async function writeProvenance(
  staging: Staging,
  merge: MergeRecord,
  names: readonly string[],
  checksums: boolean,
): Promise<void> {
  const target = await recordTarget(staging.folder, names, { checksums }).catch((error: unknown) => {
    // What this program wrote is well-formed, unless it was changed since.
    const isMalformed = isApplyDeltaError(error) && error.exitCode === EXIT.malformed;
    throw isMalformed ? targetAltered(`weights: ${error.message}`) : error;
  });
  staging.writeFile(PROVENANCE, encodeProvenance(merge, target));
}

/** Writes the SHA-256 of every file named. Errors: those of reading; `interrupted`. */
export async function writeChecksums(
  staging: Staging,
  names: readonly string[],
  { reporter, signal }: { readonly reporter: Reporter; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const sha256Of = await checksumFiles(staging.folder, names, {
    signal,
    // Shards are written past the page cache: this reads them several at a time, ahead of the hash.
    fromDisk: true,
    onProgress: (progress) =>
      reporter.progress({ activity: "writing checksums", ...progress, current: CHECKSUMS }),
  });
  staging.writeFile(CHECKSUMS, encodeChecksums(sha256Of));
}

export function targetAltered(got: string): ApplyDeltaError {
  return new ApplyDeltaError("target-altered", "The target failed its verification and was not made.", {
    got,
    hint: "If `weights`, `sum` or `checksums` failed, what was written isn't what was read back: check the disk, or choose a folder on another. Otherwise base or delta is at fault: look at them with `inspect`.",
  });
}
