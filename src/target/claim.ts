/** The folder the work goes on in, made or found, with the lock of this run in it. */
import { readdirSync, rmdirSync } from "node:fs";
import { dirname } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { type Lock, type LockOptions, takeLock } from "../files/lock.js";
import { makeFolders } from "../files/own-file.js";
import { entryAt, onTarget, quietly } from "../files/write-errors.js";
import { typedSystemError } from "../system-errors.js";
import { JOURNAL, LOCK } from "./target.js";

export interface Claim extends Lock {
  /** Removes the folder, where it is empty, and every parent that was made for it. Never throws. */
  removeFolders(): void;
}

/**
 * Makes the folder and its parents, or finds it ours, and locks it; leaves nothing behind where that fails.
 * Errors: `target-exists` (the folder isn't ours), `target-busy` (a run works in it), `target-unwritable`, `no-space`,
 * `interrupted`.
 */
export async function claimFolder(folder: string, options: LockOptions, name = LOCK): Promise<Claim> {
  const isThere = entryAt(folder) !== undefined;
  if (isThere) assertOurs(folder);
  const first = isThere ? null : onTarget(folder, () => makeFolders(folder));
  const removeFolders = () => {
    if (first !== null) quietly(() => removeEmpty(folder, first));
    else quietly(() => rmdirSync(folder));
  };
  try {
    const lock = await lockFolder(folder, options, name);
    return {
      assertHeld: () => onTarget(folder, lock.assertHeld),
      moveTo: lock.moveTo,
      release: () => onTarget(folder, lock.release),
      removeFolders,
    };
  } catch (error) {
    if (first !== null) removeFolders();
    throw error;
  }
}

/** Locks a folder of ours. Errors: `target-busy` where another run holds it, `target-unwritable`, `interrupted`. */
export async function lockFolder(folder: string, options: LockOptions, name = LOCK): Promise<Lock> {
  try {
    return await takeLock(folder, name, options);
  } catch (error) {
    throw typedSystemError(error, "target", folder);
  }
}

/** Throws `target-exists` where the folder has no journal in it, and more than locks. */
function assertOurs(folder: string): void {
  const names = entryAt(folder)?.isDirectory() ? onTarget(folder, () => readdirSync(folder)) : [folder];
  if (names.includes(JOURNAL) || names.every((name) => name.startsWith(LOCK))) return;
  throw new ApplyDeltaError("target-exists", "The folder to work in exists and isn't this tool's.", {
    file: folder,
    hint: "Move it away or choose another folder.",
  });
}

function removeEmpty(from: string, last: string): void {
  for (let folder = from; folder.startsWith(last); folder = dirname(folder)) {
    if (readdirSync(folder).length > 0) return;
    rmdirSync(folder);
  }
}
