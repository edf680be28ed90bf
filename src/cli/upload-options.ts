/**
 * `--upload` of the commands that make a folder. In: what was given. Out: the folder made and sent; or an error that
 * says how to go on with the folder that is there.
 */
import type { Command } from "commander";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import type {
  ApplyDocument,
  MakeDocument,
  MakeSummary,
  MergeSummary,
  UploadOptions,
  UploadSummary,
} from "../index.js";
import type { Reporter } from "../progress.js";
import { PROGRAM_NAME } from "../version.js";
import { environment } from "./environment.js";
import { type HubCommandOptions, hubOptionsOf } from "./hub-options.js";
import { type CommandContext, type CommonOptions, print, printReport } from "./run-command.js";
import type { Palette } from "./terminal.js";
import { formatUpload } from "./upload-text.js";
import { parsePath } from "./values.js";

export interface UploadCommandOptions {
  upload?: string;
  private?: true;
  message?: string;
}

/** The options of every command that makes a folder. */
export function addUploadOptions(command: Command): Command {
  return command
    .option(
      "--hub-repo-id, --upload <owner/name>",
      "send the finished folder to this repository on the Hub",
      parsePath,
    )
    .option("--private", "with --upload: make the repository private")
    .option("--message <text>", "with --upload: the commit's message", parsePath);
}

/** What is to be sent where; null where nothing is. Errors: `bad-usage`. */
export function uploadOf(
  { upload, private: isPrivate, message, ...hub }: UploadCommandOptions & HubCommandOptions,
  { reporter, signal }: CommandContext,
): UploadOptions | null {
  if (upload === undefined) {
    if (isPrivate === undefined && message === undefined) return null;
    throw new ApplyDeltaError("bad-usage", "There is nothing to send.", {
      got: isPrivate === undefined ? "--message without --upload" : "--private without --upload",
      hint: "Add --upload owner/name.",
    });
  }
  return {
    repository: upload,
    private: isPrivate ?? false,
    message,
    hub: hubOptionsOf(hub, environment()),
    reporter,
    signal,
  };
}

/** What can be found wrong with an upload is found before `make` begins, which gives the folder's path. */
export async function makeAndUpload<T>(
  upload: UploadOptions | null,
  target: string,
  make: () => Promise<{ readonly made: T; readonly folder: string }>,
): Promise<{ readonly made: T; readonly uploaded: UploadSummary | null }> {
  if (upload === null) return { made: (await make()).made, uploaded: null };
  const { checkUpload, uploadModel } = await import("../index.js");
  await checkUpload(upload);
  const { made, folder } = await make().catch((error: unknown) => {
    if (!isApplyDeltaError(error, "target-exists")) throw error;
    throw withHint(error, `If it is what you want to send: ${sendCommand(target, upload)}`);
  });
  const uploaded = await uploadModel({ folder, ...upload }).catch((error: unknown) => {
    throw withHint(error, `The folder is made, and whole. To send it: ${sendCommand(folder, upload)}`);
  });
  return { made, uploaded };
}

/** For a dry run: only what can be found wrong is found. */
export async function announceUpload(upload: UploadOptions | null, reporter: Reporter): Promise<void> {
  if (upload === null) return;
  const { checkUpload } = await import("../index.js");
  await checkUpload(upload);
  reporter.note(`it would be sent to ${upload.repository} on the Hub.`);
}

/** The result: as a document, or as the text of what was made with that of what was sent. */
export function printMade(
  { json, quiet }: CommonOptions,
  made: MergeSummary | MakeSummary,
  format: (paint: Palette) => string,
  uploaded: UploadSummary | null,
): void {
  const document: ApplyDocument | MakeDocument = uploaded === null ? made : { ...made, upload: uploaded };
  if (json) print(JSON.stringify(document, null, 2));
  else if (!quiet)
    printReport((paint) =>
      uploaded === null ? format(paint) : `${format(paint)}\n${formatUpload(uploaded)}`,
    );
}

/** The same error, with one more thing to do. */
export function withHint(error: unknown, sentence: string): unknown {
  if (!isApplyDeltaError(error)) return error;
  // The command that failed would make the folder anew.
  const hint = error.code === "interrupted" ? sentence : `${error.details.hint ?? ""} ${sentence}`.trim();
  return new ApplyDeltaError(error.code, error.message, { ...error.details, hint });
}

/** The command that sends a folder that is there, as a shell takes it. */
function sendCommand(folder: string, { repository, private: isPrivate, message }: UploadOptions): string {
  const words = [PROGRAM_NAME, "upload", folder, repository];
  if (isPrivate === true) words.push("--private");
  if (message !== undefined) words.push("--message", message);
  return words
    .map((word) => (/^[\w./:@=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}
