/** `vicuna-apply-delta compare <a> <b>`: whether two models are the same, and where they are not. */
import type { Command } from "commander";
import { compareOptions } from "../compare/options.js";
import { EXIT } from "../errors.js";
import type { CompareOptions } from "../index.js";
import { addCommonOptions, type CommonOptions } from "./common-options.js";
import { hubOptionsOf } from "./hub-options.js";
import { addLibraryOptions, libraryOptionsOf, parsePath } from "./library-options.js";
import { type CommandContext, printResult, runCommand } from "./run-command.js";

interface CompareCommandOptions extends CommonOptions {
  all?: true;
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
    .description("compare two models tensor by tensor");
  addLibraryOptions(command, compareOptions).option("--all", "list everything that differs");
  addCommonOptions(command, "print errors only: the exit code says the rest")
    .addHelpText("after", EXAMPLES)
    .action((a: string, b: string, options: CompareCommandOptions) => {
      const given = { ...libraryOptionsOf<CompareOptions>(command), a, b };
      return runCommand(options, (context) => compare(given, options, context));
    });
}

async function compare(
  given: CompareOptions,
  options: CompareCommandOptions,
  { signal, reporter, endWith }: CommandContext,
): Promise<void> {
  const { compareModels } = await import("../index.js");
  const comparison = await compareModels({ ...given, hub: hubOptionsOf(given.hub), reporter, signal });
  const { formatComparison } = await import("./compare-text.js");
  printResult(options, comparison, (paint) =>
    formatComparison(comparison, { all: options.all ?? false, paint }),
  );
  endWith(comparison.isEqual ? EXIT.done : EXIT.verification);
}
