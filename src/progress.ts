/** How the program speaks while it works: to a terminal's progress bar, a log, a program's callbacks, or nobody. */

/** A part of a call with a progress of its own. */
export type Activity =
  | "downloading"
  | "sampling"
  | "merging"
  | "subtracting"
  | "comparing"
  | "writing checksums"
  | "verifying checksums"
  | "verifying"
  | "hashing"
  | "uploading";

/** How far an activity is. */
export interface ProgressUpdate {
  /** What is being done: one activity after another, each with its own total. */
  readonly activity: Activity;
  /** Never goes back, and reaches `bytesTotal` in the last update of an activity that succeeds. */
  readonly bytesDone: number;
  /** The same in every update of an activity, except that an upload learns its total on the way. */
  readonly bytesTotal: number;
  /** Bytes that came over the network for it until now, if any. */
  readonly bytesFetched?: number;
  /** What is being read or written now, for example a shard's name. */
  readonly current: string;
  /** The files under way, if there are several at once. */
  readonly files?: readonly FileProgress[];
}

/** How far one file is. */
export interface FileProgress {
  /** The file's name. */
  readonly name: string;
  /** Bytes of it that are there. */
  readonly bytesDone: number;
  /** Its size. */
  readonly bytesTotal: number;
}

/** Who is told what happens. */
export interface Reporter {
  /** A detail of the work; the command line shows it with --verbose. */
  detail(text: string): void;
  /** A fact the user should know. */
  note(text: string): void;
  /** Something may be wrong. Warnings about the result are in its `warnings`, too. */
  warn(text: string): void;
  /** How far the work is, several times a second. */
  progress(update: ProgressUpdate): void;
  /** The activity has ended, whether it succeeded or not: a bar can be removed. */
  progressDone(): void;
}

/** Says nothing. */
export const silentReporter: Reporter = {
  detail: () => {},
  note: () => {},
  warn: () => {},
  progress: () => {},
  progressDone: () => {},
};
