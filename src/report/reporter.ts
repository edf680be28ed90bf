/**
 * How the program speaks while it works. One interface, several voices: a progress bar on a terminal, a line
 * now and then without one, silence. Everything goes to stderr; stdout is for the result alone.
 */

export interface ProgressUpdate {
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** What is being written now, for example a shard's name. */
  readonly current: string;
}

export interface Reporter {
  /** A detail of how things are done; shown with --verbose. */
  detail(text: string): void;
  /** A fact the user should know. */
  note(text: string): void;
  /** Something that may be wrong. */
  warn(text: string): void;
  progress(update: ProgressUpdate): void;
  /** No more progress is to come; the bar, if any, is taken away. */
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
