/** A target made whole or not at all: the frame around the work of every command that makes a folder. */
import { dirname } from "node:path";
import { ApplyDeltaError, type ErrorCode, EXIT, errnoOf, isApplyDeltaError } from "../errors.js";
import { quietly } from "../files/write-errors.js";
import { Interruption, pauseFor } from "../interrupt.js";
import type { Reporter } from "../progress.js";
import { plural } from "../units.js";
import { openStaging } from "./open-staging.js";
import { freeSpaceAt } from "./room.js";
import { type Staging, type StagingOptions, stagedBytes } from "./staging.js";

export interface StagedTarget extends Pick<StagingOptions, "fingerprint" | "files"> {
  /** Its real path. */
  readonly target: string;
  readonly shards: readonly { readonly fileName: string }[];
  readonly bytesToWrite: number;
}

export type WriteOptions = Omit<StagingOptions, "fingerprint" | "shards" | "files">;

/** Errors after which even finished shards are of no use: damaged, of other sources, or of a delta that is refused. */
const WORTHLESS: readonly ErrorCode[] = ["source-changed", "target-altered", "not-restorable"];

/**
 * Opens a folder beside the target, runs `work` in it, and publishes it as the target. Gives the shards that an
 * interrupted run had finished. Rejects with an `ApplyDeltaError`; then there is no target, and finished shards wait
 * for the next run. What fails once the target is there is a warning.
 */
export async function withStaging(
  made: StagedTarget,
  options: WriteOptions,
  reporter: Reporter,
  work: (staging: Staging) => Promise<void>,
): Promise<string[]> {
  const { target, fingerprint, files = null, shards } = made;
  const names = shards.map(({ fileName }) => fileName);
  const staging = await openStaging(target, {
    ...{ onWait: noteWaiting(reporter), ...options },
    ...{ fingerprint, files, shards: names },
  });
  try {
    describeLeftover(staging, shards.length, reporter);
    await work(staging);
    // The last word of a caller, who may say it a turn later: after the rename it would deny a target that is there.
    reporter.progressDone();
    await pauseFor(options.signal)();
    const warning = await staging.commit();
    if (warning !== null) reporter.warn(warning);
    return names.filter((name) => staging.kept.has(name));
  } catch (error) {
    reporter.progressDone();
    if (WORTHLESS.some((code) => isApplyDeltaError(error, code))) {
      staging.discard();
      throw error;
    }
    const keptShards = staging.suspend();
    throw resumable(withRoom(asTargetError(error, staging.folder), made), keptShards, shards.length);
  }
}

/** What is said where the folder is locked by a run that can't be seen. */
export function noteWaiting(reporter: Reporter): () => void {
  return () =>
    reporter.note("the folder to work in is locked, perhaps by a dead run elsewhere: looking for a minute.");
}

function describeLeftover(staging: Staging, shards: number, reporter: Reporter): void {
  const { kept, discarded, changed, isPublished } = staging;
  if (isPublished) {
    reporter.note("an interrupted run had made the target, whole: only its last steps were left.");
    return;
  }
  if (kept.size === shards) reporter.note(`all ${plural(shards, "shard")} are made: completing the target.`);
  else if (kept.size > 0) {
    reporter.note(`going on from an interrupted run: ${kept.size} of ${plural(shards, "shard")} kept.`);
  }
  if (discarded === 0) return;
  const why = changed.length > 0 ? `these changed since: ${changed.join(", ")}` : "you asked to start over";
  reporter.note(`starting over: an interrupted run had finished ${plural(discarded, "shard")}, but ${why}.`);
}

/** The same error; where it is about reading what was just written, an error of the target and not of a source. */
function asTargetError(error: unknown, folder: string): unknown {
  if (!isApplyDeltaError(error) || error.exitCode !== EXIT.source) return error;
  const file = error.details.file ?? "";
  if (file !== folder && dirname(file) !== folder) return error;
  return new ApplyDeltaError("target-unwritable", "What was written can't be read back.", {
    ...error.details,
    got: error.message,
    hint: "The disk reports an error: check it, or choose a folder on another disk.",
  });
}

/** The same error; where the disk ran full, with what is still needed and what there is. */
function withRoom(error: unknown, { target, bytesToWrite }: StagedTarget): unknown {
  if (!isApplyDeltaError(error, "no-space")) return error;
  const room: { expected?: string; got?: string } = {};
  quietly(() => {
    // Where all shards are there, the small files beside them aren't counted.
    room.expected = `${Math.max(0, bytesToWrite - stagedBytes(target))} bytes free, and a little more`;
    // What is left of a quota, the system doesn't say.
    if (errnoOf(error.details.cause) === "EDQUOT") return;
    room.got = `${freeSpaceAt(dirname(target)).freeBytes} bytes free`;
  });
  return new ApplyDeltaError(error.code, error.message, { ...room, ...error.details });
}

/** The same error, with what there is to go on from. */
function resumable(error: unknown, keptShards: number, shards: number): unknown {
  if (!isApplyDeltaError(error) || keptShards === 0) return error;
  const { code, message, details } = error;
  const again = `the same command again: it goes on from here, with ${keptShards} of ${plural(shards, "shard")} done.`;
  if (code === "interrupted") return new Interruption("the finished shards are kept", `Run ${again}`);
  const hint = `${details.hint ?? ""} Then run ${again}`.trim();
  return new ApplyDeltaError(code, message, { ...details, hint });
}
