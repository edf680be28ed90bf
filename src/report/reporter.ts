/**
 * How the program speaks while it works. One interface, several voices: a progress bar on a terminal, a line
 * now and then without one, silence. Everything goes to stderr; stdout is for the result alone.
 */

export interface ProgressUpdate {
  /** What is done, where a run has several stretches: `downloading`. A new one begins a new bar. */
  readonly activity?: string;
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** What came over the network for it until now, where it comes from there. */
  readonly bytesFetched?: number;
  /** What is being written now, for example a shard's name. */
  readonly current: string;
  /** The files under way, where there are several at once. */
  readonly files?: readonly FileProgress[];
}

export interface FileProgress {
  readonly name: string;
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface Reporter {
  /** A detail of how things are done; shown with --verbose. */
  detail(text: string): void;
  /** A fact the user should know. */
  note(text: string): void;
  /** Something that may be wrong. */
  warn(text: string): void;
  progress(update: ProgressUpdate): void;
  /** No more progress of this activity is to come; the bar, if any, is taken away. */
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
