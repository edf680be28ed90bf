/**
 * A target that several runs make together, on one machine or many: each makes the shards of its part in one folder,
 * with a lock and a journal of its own there. The run that finds all of them made completes the target, as a run of the
 * whole does: it takes the folder's own lock, so there is only ever one.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ApplyDeltaError, errnoOf, isApplyDeltaError } from "../errors.js";
import type { LockOptions } from "../files/lock.js";
import { quietly } from "../files/write-errors.js";
import { type Claim, claimFolder, lockFolder } from "./claim.js";
import { stagingPathOf } from "./describe.js";
import {
  type Fingerprint,
  fingerprintChanges,
  type Journal,
  type JournalHead,
  readJournal,
  startJournal,
} from "./journal.js";
import { finishPublished } from "./publish.js";
import { assertFree } from "./publish-files.js";
import { StagedShards } from "./staged-shards.js";
import { checkFree, JOURNAL, partJournal, partLock, targetExists } from "./target.js";

/** What every part is asked for, so that another run can complete the target. Plain data. */
export type PartOptions = Readonly<Record<string, unknown>>;

export interface PartOfTarget extends LockOptions {
  readonly fingerprint: Fingerprint;
  readonly part: { readonly number: number; readonly count: number };
  readonly options: PartOptions;
  /** File names of the part's shards. */
  readonly shards: readonly string[];
  readonly overwrite: boolean;
  /** As of `StagingOptions`. */
  readonly files: readonly string[] | null;
  /** Whether the target is there, and is what all parts would make. */
  isMade(): Promise<boolean>;
}

/**
 * Opens the folder in which the parts of a target are made. Errors: `target-busy` (another run makes this part, or
 * completes the target), `target-differs`, `target-exists`, `target-unwritable`, `no-space`, `interrupted`.
 */
export async function openPart(target: string, made: PartOfTarget): Promise<PartStaging> {
  for (let tries = 0; ; tries++) {
    try {
      return await tryOpenPart(target, made);
    } catch (error) {
      // The folder became the target while this part looked at it.
      const isGone = isApplyDeltaError(error) && errnoOf(error.details.cause) === "ENOENT";
      if (!isGone || tries === MOST_TRIES) throw error;
    }
  }
}

const MOST_TRIES = 3;

async function tryOpenPart(target: string, made: PartOfTarget): Promise<PartStaging> {
  const folder = stagingPathOf(target);
  if (made.files === null) await finishPublished(target, made);
  const claim = await claimFolder(folder, made, partLock(made.part.number));
  try {
    const lock = await retryWhileBusy(() => lockFolder(folder, made));
    try {
      const journal = readJournal(join(folder, JOURNAL), folder) ?? (await beginParts(target, made));
      assertSame(folder, journal, made);
      return new PartStaging(folder, claim, journal, made);
    } finally {
      quietly(lock.release);
    }
  } catch (error) {
    quietly(claim.release);
    // Where the target was completed meanwhile, the lock went with the folder.
    claim.moveTo(target);
    quietly(claim.release);
    claim.removeFolders();
    throw error;
  }
}

/** A journal of parts. */
export interface PartsJournal extends Journal {
  readonly parts: NonNullable<JournalHead["parts"]>;
}

/** What is done in a folder so far; null where there is none, or not one of parts. Errors: `target-unwritable`. */
export function readParts(target: string): PartsJournal | null {
  const folder = stagingPathOf(target);
  const journal = readJournal(join(folder, JOURNAL), folder);
  return journal?.parts === undefined ? null : { ...journal, parts: journal.parts };
}

/** Another part holds the folder's lock for a moment; who completes the target, for longer. */
const BUSY_TRIES = 100;
const BUSY_PAUSE_MS = 50;

/** Repeats for some seconds what another run's lock prevents. Errors: `target-busy`, in the end. */
export async function retryWhileBusy<T>(step: () => Promise<T>): Promise<T> {
  for (let tries = BUSY_TRIES; ; tries--) {
    try {
      return await step();
    } catch (error) {
      if (tries === 0 || !isApplyDeltaError(error, "target-busy")) throw error;
    }
    await sleep(BUSY_PAUSE_MS);
  }
}

const headOf = ({ fingerprint, part, options }: PartOfTarget): JournalHead => ({
  fingerprint,
  parts: { count: part.count, options: { ...options } },
});

/** Begins the journal of the folder, unless the parts have made the target meanwhile. */
async function beginParts(target: string, made: PartOfTarget): Promise<Journal> {
  const folder = stagingPathOf(target);
  if (made.overwrite && (await made.isMade())) throw targetExists(target);
  if (made.files === null) checkFree(target, made.overwrite);
  else if (!made.overwrite) assertFree(target, made.files, folder);
  const path = join(folder, JOURNAL);
  startJournal(path, headOf(made));
  return readJournal(path, folder) as Journal;
}

/** Errors: `target-differs`. */
function assertSame(folder: string, journal: Journal, made: PartOfTarget): void {
  if (journal.parts === undefined) {
    throw new ApplyDeltaError("target-differs", "A run of the whole target has begun in this folder.", {
      file: folder,
      hint: "Run it again without --part, which goes on from there, or remove the folder.",
    });
  }
  const { fingerprint, part, options } = made;
  const { count } = journal.parts;
  const changed = [
    ...(count === part.count ? [] : [`the number of parts (${count}, here ${part.count})`]),
    ...fingerprintChanges(journal.fingerprint, fingerprint),
    ...optionChanges(journal.parts.options, options),
  ];
  if (changed.length === 0) return;
  throw new ApplyDeltaError("target-differs", "Other parts of this target were begun from something else.", {
    file: folder,
    expected: "the same models, options and version for every part",
    got: `other: ${changed.join(", ")}`,
    hint: "Run this part as the others were run, or remove the folder and begin anew.",
  });
}

function optionChanges(a: PartOptions, b: PartOptions): string[] {
  const text = (options: PartOptions, name: string) => JSON.stringify(options[name] ?? null);
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter(
    (name) => text(a, name) !== text(b, name),
  );
}

export class PartStaging extends StagedShards {
  constructor(
    folder: string,
    private readonly lock: Claim,
    journal: Journal,
    { part, shards }: PartOfTarget,
  ) {
    const path = join(folder, partJournal(part.number));
    const files = shards.filter((name) => journal.files.has(name));
    super(folder, { claim: lock, journal: path, kept: journal, files, isDurable: true });
    // What a run of this part was about to make when it was killed.
    this.removeOurs(this.finished);
  }

  /** Ends the part: removes what it hasn't finished, and gives its lock back. Never throws. */
  leave(): void {
    while (this.openFiles.size > 0) quietly(() => this.closeAll());
    quietly(() => this.removeOurs(this.finished));
    quietly(this.lock.release);
  }
}
