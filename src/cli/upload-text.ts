/** What sending a folder to the Hub reports. Pure: values in, text out. */
import { formatBytes, formatSeconds, plural } from "../units.js";
import type { UploadSummary } from "../upload/documents.js";

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
