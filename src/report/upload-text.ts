/** What sending a folder to the Hub reports. Pure: values in, text out. */
import type { MakeSummary } from "./make-summary.js";
import type { MergeSummary } from "./summary.js";
import { formatBytes, formatSeconds, plural } from "./units.js";

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

/** What applying prints with `--json`. */
export interface ApplyDocument extends MergeSummary {
  /** With `--upload`: what was sent to the Hub. */
  readonly upload?: UploadSummary;
}

/** What `make` prints with `--json`. */
export interface MakeDocument extends MakeSummary {
  /** With `--upload`: what was sent to the Hub. */
  readonly upload?: UploadSummary;
}

/** The summary for a terminal. */
export function formatUpload(summary: UploadSummary): string {
  const { url, commit, sent, skipped, removed, bytesSent, bytesSkipped, seconds } = summary;
  const privacy = summary.private === null ? "" : summary.private ? " (private)" : " (public)";
  const had = `${plural(skipped.length, "file")} (${formatBytes(bytesSkipped)}) it had already`;
  const speed = `${formatBytes(bytesSent / Math.max(seconds, 0.001))}/s`;
  return [
    `  upload    ${url}${privacy}, commit ${commit.slice(0, 12)}`,
    sent.length === 0
      ? `            nothing was sent: ${had}`
      : `            ${plural(sent.length, "file")} sent (${formatBytes(bytesSent)} in ${formatSeconds(seconds)}, ${speed})${skipped.length === 0 ? "" : `; ${had}`}`,
    ...(removed.length === 0 ? [] : [`            removed there: ${removed.join(", ")}`]),
  ].join("\n");
}
