/**
 * `--upload` of the commands that make a folder. In: what was given. Out: the folder made and sent; or an error that
 * says how to go on with the folder that is there.
 */
import { z } from "zod";
import { ApplyDeltaError, isApplyDeltaError } from "../errors.js";
import type {
  ApplyDocument,
  HubOptions,
  MakeDocument,
  MakeSummary,
  MergeSummary,
  UploadOptions,
  UploadSummary,
} from "../index.js";
import { flag, text } from "../options.js";
import type { Reporter } from "../progress.js";
import { uploadOptions } from "../upload/options.js";
import { PROGRAM_NAME } from "../version.js";
import type { CommonOptions } from "./common-options.js";
import { type CommandContext, printResult } from "./run-command.js";
import type { Palette } from "./terminal.js";
import { formatUpload } from "./upload-text.js";

/** The flags of commands that make a folder, all below `upload`. */
export const uploadFlags = z.strictObject({
  upload: z.strictObject({
    repository: flag(
      "--hub-repo-id, --upload <owner/name>",
      "send the finished folder to this repository on the Hub",
      text(),
    ),
    private: uploadOptions.shape.private,
    message: uploadOptions.shape.message,
  }),
});

export type UploadFlags = { readonly upload?: Partial<z.input<typeof uploadFlags>["upload"]> };

/** What is to be sent where; null where nothing is. Errors: `bad-usage`. */
export function uploadOf(
  given: UploadFlags["upload"],
  hub: HubOptions,
  { reporter, signal }: CommandContext,
): UploadOptions | null {
  if (given === undefined) return null;
  const { repository, ...rest } = given;
  if (repository !== undefined) return { ...rest, repository, hub, reporter, signal };
  throw new ApplyDeltaError("bad-usage", "There is nothing to send.", {
    got: `--${Object.keys(rest)[0]} without --upload`,
    hint: "Add --upload owner/name.",
  });
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
  options: CommonOptions,
  made: MergeSummary | MakeSummary,
  format: (paint: Palette) => string,
  uploaded: UploadSummary | null,
): void {
  const document: ApplyDocument | MakeDocument = uploaded === null ? made : { ...made, upload: uploaded };
  printResult(options, document, (paint) =>
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
