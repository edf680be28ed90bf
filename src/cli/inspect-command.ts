/** `vicuna-apply-delta inspect <model>`: what a checkpoint holds, and what a delta changes. */
import type { Command } from "commander";
import { ApplyDeltaError } from "../errors.js";
import { environment } from "./environment.js";
import { addHubOptions, addStreamOption, type HubCommandOptions, hubOptionsOf } from "./hub-options.js";
import { type CommandContext, type CommonOptions, print, printReport, runCommand } from "./run-command.js";
import { parsePath } from "./values.js";

interface InspectOptions extends CommonOptions, HubCommandOptions {
  base?: string;
  revision?: string;
  baseRevision?: string;
  tensors?: string;
  plot?: string;
}

export function addInspectCommand(program: Command): void {
  const command = program
    .command("inspect")
    .argument("<model>", "a folder, a weights file, or owner/name on the Hub", parsePath)
    .description("shows what a checkpoint holds; with --base, how much a delta changes each layer")
    .option("--base <model>", "measure the change against this base", parsePath)
    .option("--tensors <glob>", "list tensors by name, e.g. '*.q_proj.*'")
    .option("--plot <file>", "with --base: write the change of each layer as a picture (SVG)", parsePath)
    .option("--revision <revision>", "branch, tag or commit of a model on the Hub", parsePath)
    .option("--base-revision <revision>", "the same for the base", parsePath);
  addStreamOption(addHubOptions(command))
    .option("--json", "print one JSON document on stdout")
    .option("--no-progress", "show no progress")
    .option("--verbose", "print details, and stack traces of errors")
    .helpOption("--help", "print this help")
    .action((model: string, options: InspectOptions) =>
      runCommand(options, (context) => inspect(model, options, context)),
    );
}

async function inspect(
  model: string,
  options: InspectOptions,
  { reporter, signal }: CommandContext,
): Promise<void> {
  const { base, tensors, plot, json } = options;
  if (plot !== undefined && base === undefined) {
    throw new ApplyDeltaError("bad-usage", "--plot needs a --base to measure the change against.", {
      hint: "Add --base with the model the delta was made for.",
    });
  }
  const { inspectModel } = await import("../index.js");
  const document = await inspectModel({
    model,
    revision: options.revision,
    baseRevision: options.baseRevision,
    hub: hubOptionsOf(options, environment()),
    reporter,
    signal,
    ...(base === undefined ? {} : { base }),
    ...(tensors === undefined ? {} : { filter: tensors }),
  });
  if (plot !== undefined && document.change !== null) {
    const { renderLayerPlot } = await import("./layer-plot.js");
    const { writeTextFile } = await import("./text-file.js");
    writeTextFile(plot, renderLayerPlot(document.change));
  }
  const { formatInspection } = await import("./inspect-text.js");
  if (json) print(JSON.stringify(document, null, 2));
  else printReport((paint) => formatInspection(document, paint));
}
