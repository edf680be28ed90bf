/** `vicuna-apply-delta upload <folder> <owner/name>`: sends a model's folder to the Hub. */
import type { Command } from "commander";
import { type ErrorCode, EXIT, isApplyDeltaError } from "../errors.js";
import type { UploadModelOptions } from "../index.js";
import { printable } from "../printable.js";
import { uploadOptions } from "../upload/options.js";
import { addCommonOptions, type CommonOptions } from "./common-options.js";
import { hubOptionsOf } from "./hub-options.js";
import { addLibraryOptions, libraryOptionsOf, parsePath } from "./library-options.js";
import { type CommandContext, printResult, runCommand } from "./run-command.js";
import { withHint } from "./upload-options.js";

const EXAMPLE = `
One commit holds the whole model, or nothing is changed. What the Hub has already isn't sent again, so that an upload
that broke off goes on when the same command is run again. The token needs the right to write.

Example:
  $ vicuna-apply-delta upload my-vicuna-7b-delta my-name/my-vicuna-7b-delta --private

Exit codes are those of vicuna-apply-delta; ${EXIT.malformed} where the folder holds no whole model, ${EXIT.target} where it can't be sent.`;

/** What may have passed when the command is run again. */
const PASSING: readonly ErrorCode[] = ["upload-unreachable", "upload-rate-limited", "upload-failed"];

const GO_ON = "Then run the same command again: files that arrived whole aren't sent again.";

/** Uploads read no model from the cache. */
const NOT_HERE = ["hub.cacheFolder", "hub.offline", "hub.stream"];

export function addUploadCommand(program: Command): void {
  const command = program
    .command("upload")
    .argument("<folder>", "a model's folder", parsePath)
    .argument("<owner/name>", "the repository on the Hub; made where it isn't there", parsePath)
    .description("send a model's folder to the Hugging Face Hub");
  addLibraryOptions(command, uploadOptions, NOT_HERE);
  addCommonOptions(command)
    .addHelpText("after", EXAMPLE)
    .action((folder: string, repository: string, options: CommonOptions) => {
      const given = { ...libraryOptionsOf<UploadModelOptions>(command), folder, repository };
      return runCommand(options, (context) => upload(given, options, context));
    });
}

async function upload(
  given: UploadModelOptions,
  options: CommonOptions,
  { reporter, signal }: CommandContext,
): Promise<void> {
  const { uploadModel } = await import("../index.js");
  const { formatUpload } = await import("./upload-text.js");
  const call = { ...given, hub: hubOptionsOf(given.hub), reporter, signal };
  const summary = await uploadModel(call).catch((error: unknown) => {
    throw PASSING.some((code) => isApplyDeltaError(error, code)) ? withHint(error, GO_ON) : error;
  });
  printResult(
    options,
    summary,
    (paint) => `${paint.strong(printable(given.folder))}\n${formatUpload(summary)}`,
  );
}
