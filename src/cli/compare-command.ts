/** `vicuna-apply-delta compare <a> <b>`: whether two models are the same, and where they differ. */
import type { Command } from "commander";
import { compareOptions } from "../compare/options.js";
import { EXIT } from "../errors.js";
import { type CompareOptions, compareModels } from "../index.js";
import { formatComparison } from "./compare-text.js";
import { type HelpPage, setHelpPage } from "./help.js";
import { addCommonOptions, addFlag, addLibraryOptions, setAction } from "./library-options.js";

const PAGE: HelpPage = {
  examples: [
    "vicuna-apply-delta compare vicuna-7b lmsys/vicuna-7b-v1.1",
    "vicuna-apply-delta compare vicuna-7b vicuna-7b-v1.1 --weights-only --tolerance 1e-3",
  ],
  notes: `Without a tolerance every bit must be equal; --tolerance 0 compares values (-0 is 0, dtypes may differ).

Exit codes are those of vicuna-apply-delta: ${EXIT.done} equal, ${EXIT.verification} different.`,
};

export function defineCommand(command: Command): void {
  setHelpPage(command, PAGE);
  addLibraryOptions(command, compareOptions);
  addFlag(command, "Main", "--all", "list everything that differs");
  addCommonOptions(command, "print errors only: the exit code says the rest");
  setAction<CompareOptions, { all?: true }>(command, ["a", "b"], async (call, { all = false }) => {
    const comparison = await compareModels(call);
    return {
      document: comparison,
      format: (paint) => formatComparison(comparison, all, paint),
      exitCode: comparison.isEqual ? EXIT.done : EXIT.verification,
    };
  });
}
