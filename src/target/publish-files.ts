/**
 * A target that is a file, or a few beside each other: each is put in place by a rename, the main one last. So the
 * target is there when that one is, and what a killed run had put in place goes back to where the next one works.
 */
import { renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { openSmallFile } from "../files/small-file.js";
import { entryAt, onTarget } from "../files/write-errors.js";
import { type Fingerprint, fingerprintChanges, readJournal } from "./journal.js";
import { fileExists, JOURNAL } from "./target.js";

/** `names`: of the files in the folder to publish, the main one last. */
export function publishFiles(
  folder: string,
  target: string,
  names: readonly string[],
  overwrite: boolean,
): void {
  const places = names.map((name) => ({ from: join(folder, name), to: join(dirname(target), name) }));
  for (const { from, to } of overwrite ? [] : places)
    if (entryAt(to) !== undefined && !isSameText(from, to)) throw fileExists(to);
  for (const { from, to } of places) onTarget(to, () => renameSync(from, to));
}

/**
 * Throws `target-exists` where a file is in the way. Of an interrupted run only the main one is: what that run had put
 * beside it is looked at when it is replaced.
 */
export function assertFree(target: string, names: readonly string[], folder: string): void {
  const isInterrupted = entryAt(join(folder, JOURNAL)) !== undefined;
  const places = (isInterrupted ? names.slice(-1) : names).map((name) => join(dirname(target), name));
  const taken = places.find((place) => entryAt(place) !== undefined);
  if (taken !== undefined) throw fileExists(taken);
}

/** Moves the shards back that a run of the same work had put in place when it ended. */
export function takeUpPublishedFiles(
  target: string,
  folder: string,
  { fingerprint, files }: { readonly fingerprint: Fingerprint; readonly files: readonly string[] },
): void {
  const place = dirname(target);
  const journal = readJournal(join(folder, JOURNAL), place);
  if (journal === null || fingerprintChanges(journal.fingerprint, fingerprint).length > 0) return;
  for (const name of files.filter((each) => journal.finished.has(each))) {
    const [published, staged] = [join(place, name), join(folder, name)];
    if (entryAt(staged) === undefined) onTarget(staged, () => renameSync(published, staged));
  }
}

/** More than any file beside a model has. */
const MAX_TEXT_BYTES = 100_000;

/** Whether both hold the same text: a run that was killed had put it there, or it makes no difference. */
function isSameText(a: string, b: string): boolean {
  const read = (path: string) => onTarget(path, () => openSmallFile(path, MAX_TEXT_BYTES));
  const [one, other] = [read(a), read(b)];
  return one.kind === "bytes" && other.kind === "bytes" && one.bytes.equals(other.bytes);
}
