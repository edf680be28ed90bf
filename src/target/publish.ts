/**
 * Puts a whole folder in its place by renames. At every moment the old target or the new one is there, whole: in its
 * place, or beside it between two renames. The journal says so beforehand, so that the next run can mend what a killed
 * one left.
 */
import { lstatSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import { takeLock } from "../files/lock.js";
import { onTarget, quietly } from "../files/write-errors.js";
import { type Fingerprint, fingerprintChanges, readJournal, recordReplaced } from "./journal.js";
import { JOURNAL, LOCK, targetExists } from "./target.js";

/**
 * Puts the folder in the target's place; returns where the old target is now, or null where there was none. `journal`
 * says so before it is put aside.
 */
export function publish(folder: string, target: string, overwrite: boolean, journal: string): string | null {
  const names = exists(target) ? onTarget(target, () => readdirSync(target)) : null;
  if (names === null || names.length === 0) {
    if (names !== null) onTarget(target, () => rmdirSync(target));
    onTarget(target, () => renameSync(folder, target));
    return null;
  }
  if (!overwrite) throw targetExists(target);
  const aside = `${target}.replaced-${process.pid}`;
  if (exists(aside)) {
    throw new ApplyDeltaError("target-unwritable", "The old target can't be put aside.", {
      file: target,
      got: `something at ${aside}`,
      hint: "Move that away, or choose another folder.",
    });
  }
  recordReplaced(journal, basename(aside));
  onTarget(target, () => renameSync(target, aside));
  try {
    onTarget(target, () => renameSync(folder, target));
  } catch (error) {
    throw putBack(aside, target, error);
  }
  return aside;
}

/** Gives the error; where the old target can't be put back, with the word where it is. */
function putBack(aside: string, target: string, error: unknown): unknown {
  try {
    onTarget(aside, () => renameSync(aside, target));
    return error;
  } catch {
    if (!isApplyDeltaError(error)) return error;
    const hint = `${error.details.hint ?? ""} The old target is whole, at ${aside}: the next run puts it back.`;
    return new ApplyDeltaError(error.code, error.message, { ...error.details, hint });
  }
}

/** Puts an old target back in its place that a run had put aside when it ended. Returns whether there was one. */
export function restoreReplaced(target: string, replaced: string | null): boolean {
  const aside = asideOf(target, replaced ?? "");
  if (aside === null || exists(target) || !exists(aside)) return false;
  onTarget(target, () => renameSync(aside, target));
  return true;
}

/**
 * Takes up a target that a run had published when it ended, with its journal and its lock still in it. That of the same
 * merge goes back to the folder to work in, all of its shards finished; another is whole, and as good as any old target.
 * Errors: `target-exists`, where it is another and may not be replaced, or its run goes on.
 */
export function takeUpPublished(
  target: string,
  folder: string,
  { fingerprint, overwrite }: { readonly fingerprint: Fingerprint; readonly overwrite?: boolean | undefined },
): void {
  const path = join(target, JOURNAL);
  if (!exists(path)) return;
  const lock = takeLock(join(target, LOCK));
  let at = target;
  try {
    const journal = readJournal(path, target);
    const aside = asideOf(target, journal?.replaced ?? "");
    // The new one is in its place.
    if (aside !== null) onTarget(aside, () => rmSync(aside, { recursive: true, force: true }));
    const isSame = journal !== null && fingerprintChanges(journal.fingerprint, fingerprint).length === 0;
    if (isSame && !exists(folder)) {
      onTarget(target, () => renameSync(target, folder));
      at = folder;
    } else if (overwrite) {
      onTarget(path, () => rmSync(path));
    } else {
      throw targetExists(target);
    }
  } finally {
    quietly(() => lock.release(join(at, LOCK)));
  }
}

/** The path of a name in a journal; null where it isn't one that `publish` gives, so none of ours. */
function asideOf(target: string, name: string): string | null {
  const prefix = `${basename(target)}.replaced-`;
  const isOurs = name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length));
  return isOurs ? join(dirname(target), name) : null;
}

function exists(path: string): boolean {
  return onTarget(path, () => lstatSync(path, { throwIfNoEntry: false })) !== undefined;
}
