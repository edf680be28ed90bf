/** The folder the work goes on in, made or found, with the lock of this run in it. */
import { lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { takeLock } from "../files/lock.js";
import { onTarget, quietly } from "../files/write-errors.js";
import { JOURNAL, LOCK } from "./target.js";

export interface Claim {
  /** Ends it. `folder`: where the folder is now. */
  release(folder: string): void;
  /** Removes the folder, where it is empty, and every parent that was made for it. Never throws. */
  removeFolders(): void;
}

/**
 * Makes the folder and its parents, or finds it ours, and locks it; leaves nothing behind where that fails.
 * Errors: `target-exists` (the folder isn't ours, or a run works in it), `target-unwritable`, `no-space`.
 */
export function claimFolder(folder: string): Claim {
  const parent = dirname(folder);
  const madeParent = onTarget(parent, () => mkdirSync(parent, { recursive: true }));
  const removeParents = () => {
    if (madeParent !== undefined) quietly(() => removeEmptyParents(parent, madeParent));
  };
  let isNew = false;
  try {
    isNew = makeFolder(folder);
    const lock = takeLock(join(folder, LOCK));
    return {
      release: (at) => lock.release(join(at, LOCK)),
      removeFolders() {
        quietly(() => rmdirSync(folder));
        removeParents();
      },
    };
  } catch (error) {
    if (isNew) quietly(() => rmSync(folder, { recursive: true, force: true }));
    removeParents();
    throw error;
  }
}

/** False where it is there already and ours, or empty. */
function makeFolder(folder: string): boolean {
  const stat = onTarget(folder, () => lstatSync(folder, { throwIfNoEntry: false }));
  if (stat === undefined) {
    onTarget(folder, () => mkdirSync(folder));
    return true;
  }
  const names = stat.isDirectory() ? onTarget(folder, () => readdirSync(folder)) : [folder];
  if (names.includes(JOURNAL) || names.every((name) => name.startsWith(LOCK))) return false;
  throw new ApplyDeltaError("target-exists", "The folder to work in exists and isn't this tool's.", {
    file: folder,
    hint: "Move it away or choose another folder.",
  });
}

function removeEmptyParents(from: string, last: string): void {
  for (let folder = from; folder.startsWith(last); folder = dirname(folder)) {
    if (readdirSync(folder).length > 0) return;
    rmdirSync(folder);
  }
}
