/** `vicuna-apply-delta verify <target>`: whether a model is whole and is what it should be. */
import type { Command } from "commander";
import { ApplyDeltaError, EXIT } from "../errors.js";
import type { VerifyOptions } from "../index.js";
import { verifyOptions } from "../verify/options.js";
import { addCommonOptions, type CommonOptions } from "./common-options.js";
import { hubOptionsOf } from "./hub-options.js";
import { addLibraryOptions, libraryOptionsOf, parsePath } from "./library-options.js";
import { type CommandContext, print, printReport, runCommand } from "./run-command.js";

const NOTE = `
--dtype, --scale and the rules say how the target was made. What you leave out is read from its
vicuna-apply-delta.json.`;

export function addVerifyCommand(program: Command): void {
  const command = program
    .command("verify")
    .argument("<target>", "a model's folder, or owner/name on the Hub", parsePath)
    .description("check that a model is whole, or is the sum it should be");
  addLibraryOptions(command, verifyOptions, ["kernel", "hub.stream"]);
  addCommonOptions(command)
    .addHelpText("after", NOTE)
    .action((target: string, options: CommonOptions) => {
      const given = { ...libraryOptionsOf<VerifyOptions>(command), target };
      return runCommand(options, (context) => verify(given, options, context));
    });
}

async function verify(
  given: VerifyOptions,
  options: CommonOptions,
  { signal, reporter, endWith }: CommandContext,
): Promise<void> {
  const sides = Object.keys(given.sources ?? {});
  if (sides.length === 1) {
    throw new ApplyDeltaError("bad-usage", "The sum needs both sides: --base and --delta.", {
      got: `--${sides.join()} alone`,
      hint: "Give both, or neither to check the target by itself.",
    });
  }
  const { verifyTarget } = await import("../index.js");
  const { formatVerification } = await import("./verify-text.js");
  const verification = await verifyTarget({ ...given, hub: hubOptionsOf(given.hub), reporter, signal });
  if (options.json) print(JSON.stringify(verification, null, 2));
  else if (!options.quiet || verification.verdict === "failed")
    printReport((paint) => formatVerification(verification, paint));
  if (verification.verdict === "failed") endWith(EXIT.verification);
}
