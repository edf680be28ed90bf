import { ApplyDeltaError } from "../errors.js";
import type { Checkpoint } from "../formats/open.js";
import { isLocalFile, type LocalFile } from "../tensor.js";

/** Errors: `bad-usage` where some are on the Hub: a digest needs all of a file, in its order, before the merge. */
export function localFilesOf(
  { files }: Checkpoint,
  option: "--verify-base" | "--verify-delta",
  side: "base" | "delta",
): LocalFile[] {
  const local = files.filter(isLocalFile);
  if (local.length === files.length) return local;
  const message = `${option} needs the ${side}'s files, and --stream leaves them on the Hub.`;
  throw new ApplyDeltaError("bad-usage", message, {
    hint: `Leave one of the two out. Without --stream the ${side} is downloaded, and its SHA-256 is checked then.`,
  });
}
