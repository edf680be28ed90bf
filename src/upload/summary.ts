/** What was sent to the Hub: what `upload` prints with `--json`. */
export interface UploadSummary {
  /** `owner/name` on the Hub. */
  readonly repository: string;
  /** Its page. */
  readonly url: string;
  /** Whether the repository is private; null where the Hub doesn't say. */
  readonly private: boolean | null;
  /** The commit that holds the files: a new one, unless the Hub had all of them in one already. */
  readonly commit: string;
  /** The commit's page. */
  readonly commitUrl: string;
  /** Names of the files that were sent. */
  readonly sent: readonly string[];
  /** Names of the files that the Hub had already, and that weren't sent again. */
  readonly skipped: readonly string[];
  /** Names of other files in the repository that the commit took away. */
  readonly removed: readonly string[];
  /** Bytes of the files that were sent. */
  readonly bytesSent: number;
  /** Bytes of the files that weren't. */
  readonly bytesSkipped: number;
  /** From the call to its end. */
  readonly seconds: number;
}
