/** Whether a base's files are as they were given out, by the list of checksums that came with them. */
import { basename, dirname, join } from "node:path";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { openLocalFile, sourceExists } from "../files/local-file.js";
import { readSmallText } from "../files/small-file.js";
import { describeChecklist } from "../formats/find-parts.js";
import type { Checkpoint } from "../formats/open.js";
import type { WarningLog } from "../merge/warning-log.js";
import { isLocalFile, type LocalFile } from "../tensor.js";
import { plural } from "../units.js";
import { digestFiles } from "../workers/sha256.js";

/** A list has a line for each file; stops one that would fill the memory. */
const MAX_CHECKLIST_BYTES = 64_000;

/** As md5sum writes it: the digest, a space, then a space or `*`, the name. */
const LINE = /^([0-9a-f]{32}) [ *](.+)$/i;

/** Compares the MD5 of all files that the list names, and says what came of it. Errors: `base-altered`; `interrupted`. */
export async function verifyBase(
  base: Checkpoint,
  log: WarningLog,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { checklist } = base;
  if (checklist === null) {
    log.warn("the base can't be verified: no checklist.chk lies beside its files.");
    return;
  }
  const md5Of = readChecklist(checklist);
  const weights = localFilesOf(base, "--verify-base", "base");
  for (const { path } of weights)
    if (!md5Of.has(basename(path))) throw altered(path, `a line in ${checklist}`, "none for this file");
  const others = [...md5Of.keys()].map((name) => join(dirname(checklist), name)).filter(sourceExists);
  const opened: LocalFile[] = [];
  try {
    const known = new Set(weights.map(({ path }) => basename(path)));
    for (const path of others) if (!known.has(basename(path))) opened.push(openLocalFile(path));
    const files = [...weights, ...opened];
    const current = basename(checklist);
    const onProgress = (progress: { bytesDone: number; bytesTotal: number }) =>
      log.progress({ activity: "hashing", ...progress, current });
    const digests = await digestFiles(files, "md5", { signal, onProgress }).finally(() => log.progressDone());
    for (const [i, { path }] of files.entries()) {
      const expected = md5Of.get(basename(path));
      if (digests[i] !== expected) throw altered(path, `MD5 ${expected}`, `MD5 ${digests[i]}`);
    }
    log.note(`the base's ${plural(files.length, "file")} have the checksums of ${current}.`);
  } finally {
    for (const file of opened) file.close();
  }
}

/** MD5 by the name of a file beside the list. */
function readChecklist(path: string): Map<string, string> {
  const malformed = (got: string) =>
    new ApplyDeltaError("base-altered", `${basename(path)} isn't a list of checksums.`, {
      file: path,
      expected: "an MD5, two spaces and a name a line",
      got,
      hint: `Download ${basename(path)} again, or leave out --verify-base.`,
    });
  const text = readSmallText(path, MAX_CHECKLIST_BYTES, malformed) ?? "";
  const lines = text.split("\n").map((line) => line.trimEnd());
  return new Map(
    lines
      .filter((line) => line !== "")
      .map((line) => {
        const [, md5, name] = LINE.exec(line) ?? [];
        if (md5 === undefined || name === undefined || /[/\\]/.test(name))
          throw malformed(line.slice(0, 100));
        return [name, md5.toLowerCase()] as const;
      }),
  );
}

function altered(file: string, expected: string, got: string): ApplyDeltaError {
  return new ApplyDeltaError("base-altered", `${basename(file)} is not the file that the checklist names.`, {
    file,
    expected,
    got,
    hint: "Download the file again, or leave out --verify-base if the change is intended.",
  });
}

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

/** An error about a file of the base that looks damaged, with the list named that tells whether it is. */
export function withChecklist(error: unknown, { checklist, files }: Checkpoint): unknown {
  if (checklist === null || !isApplyDeltaError(error) || error.code === "base-altered") return error;
  const isOfBase = files.some(({ path }) => path === error.details.file);
  if (!isOfBase || !["damaged-weights", "not-finite", "wrong-base"].includes(error.code)) return error;
  const hint = `${error.details.hint ?? ""} Or add --verify-base: ${describeChecklist(checklist)}`.trim();
  return new ApplyDeltaError(error.code, error.message, { ...error.details, hint });
}
