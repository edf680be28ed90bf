/** `vicuna-apply-delta upload <folder> <owner/name>`: sends a model's folder to the Hub. */
import type { Command } from "commander";
import { type ErrorCode, EXIT, isApplyDeltaError } from "../errors.js";
import { printable } from "../printable.js";
import { environment } from "./environment.js";
import { addTokenOption, type HubCommandOptions, hubOptionsOf } from "./hub-options.js";
import { type CommandContext, type CommonOptions, print, printReport, runCommand } from "./run-command.js";
import { withHint } from "./upload-options.js";
import { parsePath } from "./values.js";

interface UploadFolderOptions extends CommonOptions, HubCommandOptions {
  private?: true;
  message?: string;
  overwrite?: true;
}

const EXAMPLE = `
One commit holds the whole model, or nothing is changed. What the Hub has already isn't sent again, so that an upload
that broke off goes on when the same command is run again. The token needs the right to write.

Example:
  $ vicuna-apply-delta upload my-vicuna-7b-delta my-name/my-vicuna-7b-delta --private

Exit codes are those of vicuna-apply-delta; ${EXIT.malformed} where the folder holds no whole model, ${EXIT.target} where it can't be sent.`;

/** What may have passed when the command is run again. */
const PASSING: readonly ErrorCode[] = ["upload-unreachable", "upload-rate-limited", "upload-failed"];

const GO_ON = "Then run the same command again: files that arrived whole aren't sent again.";

export function addUploadCommand(program: Command): void {
  const command = program
    .command("upload")
    .argument("<folder>", "a model's folder", parsePath)
    .argument("<owner/name>", "the repository on the Hub; made where it isn't there", parsePath)
    .description("sends a model's folder to the Hugging Face Hub")
    .option("--private", "make the repository private")
    .option("--message <text>", "the commit's message", parsePath)
    .option("--overwrite", "replace the model that the repository holds; its history keeps it");
  addTokenOption(command)
    .option("--json", "print the result as one JSON document on stdout")
    .option("--no-progress", "show no progress")
    .option("--quiet", "print errors and warnings only")
    .option("--verbose", "print details, and stack traces of errors")
    .helpOption("--help", "print this help")
    .addHelpText("after", EXAMPLE)
    .action((folder: string, repository: string, options: UploadFolderOptions) =>
      runCommand(options, (context) => upload(folder, repository, options, context)),
    );
}

async function upload(
  folder: string,
  repository: string,
  { private: isPrivate, message, overwrite, json, quiet, ...hub }: UploadFolderOptions,
  { reporter, signal }: CommandContext,
): Promise<void> {
  const { uploadModel } = await import("../index.js");
  const { formatUpload } = await import("./upload-text.js");
  const summary = await uploadModel({
    folder,
    repository,
    private: isPrivate ?? false,
    message,
    overwrite: overwrite ?? false,
    hub: hubOptionsOf(hub, environment()),
    reporter,
    signal,
  }).catch((error: unknown) => {
    throw PASSING.some((code) => isApplyDeltaError(error, code)) ? withHint(error, GO_ON) : error;
  });
  if (json) print(JSON.stringify(summary, null, 2));
  else if (!quiet) printReport((paint) => `${paint.strong(printable(folder))}\n${formatUpload(summary)}`);
}
