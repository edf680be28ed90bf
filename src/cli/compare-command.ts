/** `vicuna-apply-delta compare <a> <b>`: whether two models are the same, and where they are not. */
import type { Command } from "commander";
import { EXIT } from "../errors.js";
import { environment } from "./environment.js";
import { addHubOptions, addStreamOption, type HubCommandOptions, hubOptionsOf } from "./hub-options.js";
import { type CommandContext, type CommonOptions, print, printReport, runCommand } from "./run-command.js";
import { parsePath, parseThreads, parseTolerance } from "./values.js";

interface CompareOptions extends CommonOptions, HubCommandOptions {
  tolerance?: number;
  relativeTolerance?: number;
  weightsOnly?: true;
  all?: true;
  threads?: number;
}

const EXAMPLES = `
Without a tolerance every bit must be equal; --tolerance 0 compares values (-0 is 0, dtypes may differ).

Examples:
  $ vicuna-apply-delta compare vicuna-7b lmsys/vicuna-7b-v1.1
  $ vicuna-apply-delta compare vicuna-7b vicuna-7b-v1.1 --weights-only --tolerance 1e-3

Exit codes are those of vicuna-apply-delta: ${EXIT.done} equal, ${EXIT.verification} different.`;

export function addCompareCommand(program: Command): void {
  const command = program
    .command("compare")
    .argument("<a>", "a folder, a weights file, or owner/name[@revision] on the Hub", parsePath)
    .argument("<b>", "another", parsePath)
    .description(
      "compares two models, tensor by tensor, with config and tokenizer; exit 0 equal, 7 different",
    )
    .option("--tolerance <x>", "equal is also what differs by at most this: |a - b| <= x", parseTolerance)
    .option(
      "--relative-tolerance <x>",
      "… or by at most this part: |a - b| <= x * max(|a|, |b|)",
      parseTolerance,
    )
    .option("--weights-only", "leave config and tokenizer out")
    .option("--all", "list everything that differs")
    .option(
      "--threads <n>",
      "worker threads (default: one a core, at most 4, or 2 with --stream)",
      parseThreads,
    );
  addStreamOption(addHubOptions(command))
    .option("--json", "print one JSON document on stdout")
    .option("--no-progress", "show no progress")
    .option("--quiet", "print nothing but errors: the exit code says it")
    .option("--verbose", "print details, and stack traces of errors")
    .helpOption("--help", "print this help")
    .addHelpText("after", EXAMPLES)
    .action((a: string, b: string, options: CompareOptions) =>
      runCommand(options, (context) => compare(a, b, options, context)),
    );
}

async function compare(
  a: string,
  b: string,
  options: CompareOptions,
  { signal, reporter, endWith }: CommandContext,
): Promise<void> {
  const { tolerance, relativeTolerance, weightsOnly, all, threads, json, quiet } = options;
  const { compareModels } = await import("../index.js");
  const comparison = await compareModels({
    a,
    b,
    weightsOnly: weightsOnly ?? false,
    hub: hubOptionsOf(options, environment()),
    reporter,
    signal,
    ...(tolerance === undefined ? {} : { tolerance }),
    ...(relativeTolerance === undefined ? {} : { relativeTolerance }),
    ...(threads === undefined ? {} : { threads }),
  });
  const { formatComparison } = await import("./compare-text.js");
  if (json) print(JSON.stringify(comparison, null, 2));
  else if (!quiet) printReport((paint) => formatComparison(comparison, { all: all ?? false, paint }));
  endWith(comparison.isEqual ? EXIT.done : EXIT.verification);
}
