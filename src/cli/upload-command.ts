/** `vicuna-apply-delta upload <folder> <owner/name>`: sends a model's folder to the Hub. */
import type { Command } from "commander";
import { ApplyDeltaError, EXIT, isApplyDeltaError } from "../errors.js";
import { type UploadModelOptions, type UploadSummary, uploadModel } from "../index.js";
import { printable } from "../printable.js";
import { formatBytes, formatSeconds, plural } from "../units.js";
import { uploadOptions } from "../upload/options.js";
import { type HelpPage, setHelpPage } from "./help.js";
import { addCommonOptions, addLibraryOptions, setAction } from "./library-options.js";

const PAGE: HelpPage = {
  examples: ["vicuna-apply-delta upload my-vicuna-7b-delta my-name/my-vicuna-7b-delta --private"],
  notes: `One commit holds the whole model, or nothing is changed. To go on with an upload that broke off, run the same command again: it doesn't send what the Hub already has. The token needs the right to write.

Exit codes are those of vicuna-apply-delta; ${EXIT.malformed} if the folder holds no whole model, ${EXIT.target} if it can't be sent.`,
};

/** Errors that may be gone when the command is run again. */
const TRANSIENT = new Set(["upload-unreachable", "upload-rate-limited", "upload-failed"]);

const GO_ON = "Then run the same command again: files that arrived whole aren't sent again.";

/** Uploads read no model from the cache. */
const NOT_HERE = ["hub.cacheFolder", "hub.offline", "hub.stream"];

export function defineCommand(command: Command): void {
  setHelpPage(command, PAGE);
  addLibraryOptions(command, uploadOptions, NOT_HERE);
  addCommonOptions(command);
  setAction<UploadModelOptions>(command, ["folder", "repository"], async (call) => {
    const summary = await uploadModel(call).catch((error: unknown) => {
      throw isApplyDeltaError(error) && TRANSIENT.has(error.code) ? withHint(error, GO_ON) : error;
    });
    const folder = printable(call.folder);
    return { document: summary, format: (paint) => `${paint.strong(folder)}\n${formatUpload(summary)}` };
  });
}

/** The same error, with one more thing to do. */
export function withHint(error: unknown, sentence: string): unknown {
  if (!isApplyDeltaError(error)) return error;
  // The command that failed would make the folder anew.
  const hint = error.code === "interrupted" ? sentence : `${error.details.hint ?? ""} ${sentence}`.trim();
  return new ApplyDeltaError(error.code, error.message, { ...error.details, hint });
}

/** What was sent, for a terminal. */
export function formatUpload(summary: UploadSummary): string {
  const { url, commit, pullRequest, sent, skipped, removed, bytesSent, bytesSkipped, seconds } = summary;
  const privacy = summary.private === null ? "" : summary.private ? " (private)" : " (public)";
  const speed = `${formatBytes(bytesSent / Math.max(seconds, 0.001))}/s`;
  const done = `${plural(sent.length, "file")} sent (${formatBytes(bytesSent)} in ${formatSeconds(seconds)}, ${speed})`;
  const had = `${plural(skipped.length, "file")} (${formatBytes(bytesSkipped)}) already there`;
  const facts = [sent.length === 0 ? "nothing was sent" : done, ...(skipped.length === 0 ? [] : [had])];
  return [
    `  upload    ${pullRequest ?? url}${privacy}, commit ${commit.slice(0, 12)}`,
    `            ${facts.join("; ")}`,
    ...(removed.length === 0 ? [] : [`            removed there: ${removed.join(", ")}`]),
  ].join("\n");
}
