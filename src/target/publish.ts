/**
 * Puts a whole folder in its place by renames. At every moment the old target or the new one is there, whole: in its
 * place, or beside it between two renames. The journal says beforehand what is about to be done, so that the next run
 * can finish it or take it back. Only what the journal names is removed, and only while it is what the journal says.
 */
import { lstatSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { ApplyDeltaError, errnoOf, isApplyDeltaError } from "../errors.js";
import type { Lock, LockOptions } from "../files/lock.js";
import { entryAt, onTarget } from "../files/write-errors.js";
import { lockFolder } from "./claim.js";
import { type Journal, type Publishing, readJournal, recordPublishing } from "./journal.js";
import { JOURNAL, partLock, targetExists } from "./target.js";

/** An old target that was put aside. */
export type Replaced = NonNullable<Publishing["replaced"]>;

/**
 * Puts the folder, which is whole, in the target's place; returns the old target, or null where there was none.
 * Errors: `target-exists`, `target-unwritable`, `no-space`.
 */
export async function publish(
  folder: string,
  target: string,
  overwrite: boolean,
  journal: string,
): Promise<Replaced | null> {
  const names = namesIn(target);
  if (names.length > 0 && !overwrite) throw targetExists(target);
  const replaced = names.length === 0 ? null : replacedBy(target);
  recordPublishing(journal, { replaced });
  if (replaced === null) {
    if (exists(target)) onTarget(target, () => rmdirSync(target));
    await rename(folder, target);
    return null;
  }
  const aside = asideOf(target, replaced);
  await rename(target, aside);
  try {
    await rename(folder, target);
  } catch (error) {
    throw await putBack(aside, target, error);
  }
  return replaced;
}

/** What the old target will be known by. Errors: `target-unwritable`. */
function replacedBy(target: string): Replaced {
  const name = `${basename(target)}.replaced-${process.pid}`;
  const aside = join(dirname(target), name);
  if (!exists(aside)) return { name, identity: identityOf(target) ?? "" };
  throw new ApplyDeltaError("target-unwritable", "The old target can't be put aside.", {
    file: target,
    got: `something at ${aside}`,
    hint: "Move that away, or choose another folder.",
  });
}

/** Gives the error; where the old target can't be put back, with the word where it is. */
async function putBack(aside: string, target: string, error: unknown): Promise<unknown> {
  try {
    await rename(aside, target);
    return error;
  } catch {
    if (!isApplyDeltaError(error)) return error;
    const hint = `${error.details.hint ?? ""} The old target is whole, at ${aside}: the next run puts it back.`;
    return new ApplyDeltaError(error.code, error.message, { ...error.details, hint });
  }
}

/** Puts an old target back in its place that a run had put aside when it ended. Returns whether there was one. */
export async function restoreReplaced(target: string, { publishing }: Journal): Promise<boolean> {
  const replaced = publishing?.replaced ?? null;
  if (replaced === null || exists(target) || !isThere(target, replaced)) return false;
  await rename(asideOf(target, replaced), target);
  return true;
}

/**
 * Finishes, in its place, a target whose run ended after the rename and before its last step. Gives the journal of that
 * run; null where there is no such target. Errors: `target-exists`, where its run goes on; `target-unwritable`.
 */
export async function finishPublished(target: string, options: LockOptions): Promise<Journal | null> {
  const path = join(target, JOURNAL);
  if (!exists(path)) return null;
  const lock = await lockFolder(target, options);
  const journal = readJournal(path, target);
  // A folder to work in that somebody moved here isn't a whole target: what is in it stays.
  if (journal === null || journal.publishing === null) {
    onTarget(target, lock.release);
    return null;
  }
  await tidyUp(target, journal.publishing.replaced, lock);
  return journal;
}

/** The last steps: the old target goes, then the marks. Until the last of them the next run can do them again. */
export async function tidyUp(target: string, replaced: Replaced | null, lock: Lock): Promise<void> {
  if (replaced !== null && isThere(target, replaced)) await removeFolder(asideOf(target, replaced));
  const count = readJournal(join(target, JOURNAL), target)?.parts?.count ?? 0;
  onTarget(target, lock.release);
  // A part that was run again when all was done may have locked it meanwhile.
  for (let number = 1; number <= count; number++)
    onTarget(target, () => rmSync(join(target, partLock(number)), { force: true }));
  onTarget(target, () => rmSync(join(target, JOURNAL), { force: true }));
}

/** A few hundred large files take seconds: signals come through between them. */
async function removeFolder(folder: string): Promise<void> {
  for (const name of namesIn(folder)) {
    onTarget(folder, () => rmSync(join(folder, name), { recursive: true, force: true }));
    await setImmediate();
  }
  onTarget(folder, () => rmdirSync(folder));
}

/**
 * Whether the old target is still where the journal says, is the folder that it says, and has a name of ours: a journal
 * may come from elsewhere.
 */
function isThere(target: string, replaced: Replaced): boolean {
  const prefix = `${basename(target)}.replaced-`;
  const isOurs = replaced.name.startsWith(prefix) && /^\d+$/.test(replaced.name.slice(prefix.length));
  return isOurs && identityOf(asideOf(target, replaced)) === replaced.identity;
}

function asideOf(target: string, { name }: Replaced): string {
  return join(dirname(target), name);
}

/** Device and number of a folder, which a rename doesn't change; null where there is none. */
function identityOf(path: string): string | null {
  const stat = onTarget(path, () => lstatSync(path, { throwIfNoEntry: false, bigint: true }));
  return stat?.isDirectory() === true ? `${stat.dev}:${stat.ino}` : null;
}

function exists(path: string): boolean {
  return entryAt(path) !== undefined;
}

function namesIn(folder: string): string[] {
  return exists(folder) ? onTarget(folder, () => readdirSync(folder)) : [];
}

/** What Windows says while an indexer, an antivirus program or Explorer looks into a folder. */
const HELD = new Set(["EPERM", "EACCES", "EBUSY"]);

/** Milliseconds between two attempts on Windows; some seconds in all. */
const WAITS_MS = [50, 100, 200, 400, 800, 1600, 3200];

/** Renames a folder; on Windows, where another program may hold it for a moment, again and again for some seconds. */
async function rename(from: string, to: string): Promise<void> {
  await renamePatiently(from, to, process.platform === "win32" ? WAITS_MS : []);
}

/** Tries again after each wait. Errors: `target-unwritable`, `no-space`. */
export async function renamePatiently(from: string, to: string, waitsMs: readonly number[]): Promise<void> {
  for (const waitMs of [...waitsMs, null]) {
    try {
      return onTarget(to, () => renameSync(from, to));
    } catch (error) {
      const errno = isApplyDeltaError(error) ? (errnoOf(error.details.cause) ?? "") : "";
      if (waitsMs.length === 0 || !isApplyDeltaError(error) || !HELD.has(errno)) throw error;
      if (waitMs === null) {
        const hint = `Close the program that uses ${from}: Explorer, an editor, an antivirus program.`;
        throw new ApplyDeltaError(error.code, error.message, { ...error.details, hint });
      }
      await sleep(waitMs);
    }
  }
}
