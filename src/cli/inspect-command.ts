/** `vicuna-apply-delta inspect <model>`: what a checkpoint holds, and what a delta changes. */
import type { Command } from "commander";
import { ApplyDeltaError } from "../errors.js";
import type { InspectOptions } from "../index.js";
import { inspectOptions } from "../inspect/options.js";
import { addCommonOptions, type CommonOptions } from "./common-options.js";
import { hubOptionsOf } from "./hub-options.js";
import { addLibraryOptions, libraryOptionsOf, parsePath } from "./library-options.js";
import { type CommandContext, printResult, runCommand } from "./run-command.js";

interface InspectCommandOptions extends CommonOptions {
  plot?: string;
}

export function addInspectCommand(program: Command): void {
  const command = program
    .command("inspect")
    .argument("<model>", "a folder, a weights file, or owner/name on the Hub", parsePath)
    .description("show what a checkpoint holds, or what a delta changes");
  addLibraryOptions(command, inspectOptions).option(
    "--plot <file>",
    "with --base: draw the change of each layer as an SVG file",
    parsePath,
  );
  addCommonOptions(command, null).action((model: string, options: InspectCommandOptions) => {
    const given = { ...libraryOptionsOf<InspectOptions>(command), model };
    return runCommand(options, (context) => inspect(given, options, context));
  });
}

async function inspect(
  given: InspectOptions,
  options: InspectCommandOptions,
  { reporter, signal }: CommandContext,
): Promise<void> {
  const { plot } = options;
  if (plot !== undefined && given.base === undefined) {
    throw new ApplyDeltaError("bad-usage", "--plot needs a --base to measure the change against.", {
      hint: "Add --base with the model the delta was made for.",
    });
  }
  const { inspectModel } = await import("../index.js");
  const document = await inspectModel({ ...given, hub: hubOptionsOf(given.hub), reporter, signal });
  if (plot !== undefined && document.change !== null) {
    const { renderLayerPlot } = await import("./layer-plot.js");
    const { writeTextFile } = await import("./text-file.js");
    writeTextFile(plot, renderLayerPlot(document.change));
  }
  const { formatInspection } = await import("./inspect-text.js");
  printResult(options, document, (paint) => formatInspection(document, paint));
}
