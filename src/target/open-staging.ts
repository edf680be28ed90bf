/** What a run finds when it begins: nothing, what an unfinished run left, or a target that only wants its last steps. */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { ApplyDeltaError } from "../errors.js";
import { assertUnlocked } from "../files/lock.js";
import { onTarget, quietly } from "../files/write-errors.js";
import { firstFew } from "../units.js";
import { type Claim, claimFolder } from "./claim.js";
import { stagingPathOf } from "./describe.js";
import { fingerprintChanges, type Journal, readJournal } from "./journal.js";
import { finishPublished, restoreReplaced, tidyUp } from "./publish.js";
import { assertFree, takeUpPublishedFiles } from "./publish-files.js";
import { Staging, type StagingOptions } from "./staging.js";
import { checkFree, JOURNAL, LOCK, PART_JOURNAL, partLock, targetExists } from "./target.js";

/**
 * Errors: `target-exists` (the target or the folder to work in isn't ours), `target-busy` (a run works there),
 * `target-unwritable`, `no-space`, `interrupted`; with `isLast` also `target-differs` and `parts-missing`.
 */
export async function openStaging(target: string, options: StagingOptions): Promise<Staging> {
  const folder = stagingPathOf(target);
  const { files = null, restart = false, overwrite = false } = options;
  if (files === null) {
    const published = await finishPublished(target, options);
    const isDone = published !== null && isOfMerge(published, options);
    if (isDone && !overwrite && !restart) return new Staging(target, null, published, options);
  }
  const claim = await claimFolder(folder, options);
  let staging: Staging | null = null;
  try {
    if (files !== null) {
      const published = readJournal(join(folder, JOURNAL), dirname(target));
      if (published !== null && isOfMerge(published, options)) {
        if (!overwrite && !restart) return await finishFiles(target, claim, published, options);
      } else takeUpPublishedFiles(target, folder, { ...options, files });
    }
    const earlier = readJournal(join(folder, JOURNAL), folder);
    if (options.isLast) assertWhole(folder, earlier, options);
    else if (earlier !== null) assertNoPartWorks(folder, earlier, options);
    if (files !== null && !overwrite) assertFree(target, files, folder);
    if (files === null) await checkPlace(target, earlier, overwrite);
    refuseStrangers(folder, earlier);
    staging = new Staging(target, claim, earlier, options);
    staging.begin();
    return staging;
  } catch (error) {
    if (staging !== null) staging.suspend();
    else {
      quietly(claim.release);
      claim.removeFolders();
    }
    throw error;
  }
}

/** Ends the work of a run that had put all of its files in their places. */
async function finishFiles(
  target: string,
  claim: Claim,
  journal: Journal,
  options: StagingOptions,
): Promise<Staging> {
  await tidyUp(stagingPathOf(target), null, claim);
  claim.removeFolders();
  return new Staging(target, null, journal, options);
}

/** Looked at again now that no other run can make the target: one may have done so since this one began. */
async function checkPlace(target: string, earlier: Journal | null, overwrite: boolean): Promise<void> {
  if (earlier !== null && (await restoreReplaced(target, earlier)) && !overwrite) throw targetExists(target);
  checkFree(target, overwrite);
}

/** Whether it is the whole of this merge. */
function isOfMerge(journal: Journal, { fingerprint, shards }: StagingOptions): boolean {
  const isSame = fingerprintChanges(journal.fingerprint, fingerprint).length === 0;
  return isSame && shards.length > 0 && shards.every((name) => journal.finished.has(name));
}

/** Errors: `target-busy`, where a part is at work: it may be about to write a shard. */
function assertNoPartWorks(folder: string, journal: Journal, options: StagingOptions): void {
  if (isOfMerge(journal, options)) return;
  for (let number = 1; number <= (journal.parts?.count ?? 0); number++) {
    onTarget(folder, () => assertUnlocked(folder, partLock(number)));
  }
}

/** Errors: `target-differs`, `parts-missing`. */
function assertWhole(folder: string, journal: Journal | null, { fingerprint, shards }: StagingOptions): void {
  const changed = journal === null ? [] : fingerprintChanges(journal.fingerprint, fingerprint);
  if (changed.length > 0) {
    throw new ApplyDeltaError("target-differs", "The parts of this target were made from something else.", {
      file: folder,
      got: `changed since: ${changed.join(", ")}`,
      hint: "Remove the folder, and make the parts anew.",
    });
  }
  const missing = shards.filter((name) => journal?.finished.has(name) !== true);
  if (missing.length === 0) return;
  const message = `${missing.length} of ${shards.length} shards aren't made yet.`;
  throw new ApplyDeltaError("parts-missing", message, {
    file: folder,
    got: `missing: ${missing.join(", ")}`,
    hint: "Wait for the other parts, or run those again that failed.",
  });
}

/** Throws `target-exists` where there is something in the folder that no run made: it would be published, or lost. */
function refuseStrangers(folder: string, earlier: Journal | null): void {
  const isMark = (name: string) =>
    name === JOURNAL || [LOCK, PART_JOURNAL].some((mark) => name.startsWith(mark));
  const isKnown = (name: string) => earlier?.files.has(name) || isMark(name);
  const strangers = onTarget(folder, () => readdirSync(folder)).filter((name) => !isKnown(name));
  if (strangers.length === 0) return;
  throw new ApplyDeltaError("target-exists", "The folder to work in holds files that aren't this tool's.", {
    file: folder,
    got: firstFew(strangers),
    hint: "Move them away, or remove the folder if you don't need what is in it.",
  });
}
