/** What sending a folder to the Hub reports. Pure: values in, text out. */
import { formatBytes, formatSeconds, plural } from "./units.js";

export interface UploadSummary {
  /** `owner/name` on the Hub. */
  readonly repository: string;
  /** Its page. */
  readonly url: string;
  /** Null where the Hub doesn't say. */
  readonly private: boolean | null;
  /** The commit that holds the files: a new one, unless the Hub had all of them in one already. */
  readonly commit: string;
  readonly commitUrl: string;
  /** Names of the files that were sent. */
  readonly sent: readonly string[];
  /** Names of the files that the Hub had already, and that weren't sent again. */
  readonly skipped: readonly string[];
  /** Names of other files in the repository that the commit took away. */
  readonly removed: readonly string[];
  readonly bytesSent: number;
  readonly bytesSkipped: number;
  readonly seconds: number;
}

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
