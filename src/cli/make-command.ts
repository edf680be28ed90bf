/** `vicuna-apply-delta make --base … --target … --delta …`: the delta of a model and the base it was tuned from. */
import type { Command } from "commander";
import { EXIT } from "../errors.js";
import type { MakeDeltaOptions } from "../index.js";
import { makeOptions } from "../make/options.js";
import { addCommonOptions, type CommonOptions } from "./common-options.js";
import { hubOptionsOf } from "./hub-options.js";
import { addLibraryOptions, libraryOptionsOf, requireOptions } from "./library-options.js";
import { type CommandContext, printResult, runCommand } from "./run-command.js";
import {
  announceUpload,
  makeAndUpload,
  printMade,
  type UploadFlags,
  uploadFlags,
  uploadOf,
} from "./upload-options.js";

interface MakeCommandOptions extends CommonOptions {
  dryRun?: true;
}

const EXAMPLE = `
Example:
  $ vicuna-apply-delta make --base llama-7b --target my-vicuna-7b --delta my-vicuna-7b-delta

The delta is in the tuned model's dtype; who has the base gets the tuned model back with
  $ vicuna-apply-delta --base llama-7b --delta my-vicuna-7b-delta --target my-vicuna-7b

Exit codes are those of vicuna-apply-delta; ${EXIT.verification} also where --exact is asked for and not possible.`;

export function addMakeCommand(program: Command): void {
  const command = program
    .command("make")
    .usage("--base <model> --target <model> --delta <folder> [options]")
    .description("make a delta of a tuned model and its base");
  addLibraryOptions(command, makeOptions);
  addLibraryOptions(command, uploadFlags).option(
    "--dry-run",
    "print the plan, write nothing; may download models",
  );
  addCommonOptions(command)
    .addHelpText("after", EXAMPLE)
    .action((options: MakeCommandOptions) => {
      requireOptions(command, ["base", "tuned", "delta"]);
      const given = libraryOptionsOf<MakeDeltaOptions & UploadFlags>(command);
      return runCommand(options, (context) => make(given, options, context));
    });
}

async function make(
  { upload: uploadGiven, ...given }: MakeDeltaOptions & UploadFlags,
  options: MakeCommandOptions,
  context: CommandContext,
): Promise<void> {
  const { signal, reporter } = context;
  const { makeDelta, planDelta } = await import("../index.js");
  const { formatDeltaPlan, formatMakeSummary } = await import("./make-text.js");
  const hub = hubOptionsOf(given.hub);
  const deltaOptions = { ...given, hub, reporter, signal };
  const upload = uploadOf(uploadGiven, hub, context);
  if (options.dryRun) {
    await announceUpload(upload, reporter);
    const plan = await planDelta(deltaOptions);
    printResult({ json: options.json }, plan, (paint) => formatDeltaPlan(plan, paint));
    return;
  }
  const { made, uploaded } = await makeAndUpload(upload, given.delta, async () => {
    const summary = await makeDelta(deltaOptions);
    return { made: summary, folder: summary.delta };
  });
  printMade(options, made, (paint) => formatMakeSummary(made, paint), uploaded);
}
