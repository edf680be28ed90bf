/**
 * How the program speaks while it works. One interface, several voices: a progress bar on a terminal, a line
 * now and then without one, a program's own callbacks, silence. On the command line everything goes to stderr;
 * stdout is for the result alone.
 */

/** A stretch of a run, with a progress of its own. */
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
  /** What is being done. A call has one activity after another, each with a total of its own. */
  readonly activity: Activity;
  /** Never fewer than the update before said, and `bytesTotal` in the last update of an activity that succeeds. */
  readonly bytesDone: number;
  /** The same in every update of an activity; sending to the Hub finds out bit by bit how much there is. */
  readonly bytesTotal: number;
  /** What came over the network for it until now, where it comes from there. */
  readonly bytesFetched?: number;
  /** What is being read or written now, for example a shard's name. */
  readonly current: string;
  /** The files under way, where there are several at once. */
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
  /** A detail of how things are done; the command line shows it with --verbose. */
  detail(text: string): void;
  /** A fact the user should know. */
  note(text: string): void;
  /** Something that may be wrong. What concerns the result stands in its `warnings`, too. */
  warn(text: string): void;
  /** How far it is; several times a second. */
  progress(update: ProgressUpdate): void;
  /** No more progress of this activity is to come, whether it succeeded or not: a bar can be taken away. */
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
