/** `vicuna-apply-delta verify <target>`: whether a model is whole and is what it should be. */
import { type Command, Option } from "commander";
import { ApplyDeltaError, EXIT } from "../errors.js";
import type { MatchRules } from "../index.js";
import { DTYPES } from "./apply-command.js";
import { environment } from "./environment.js";
import { addHubOptions, type HubCommandOptions, hubOptionsOf } from "./hub-options.js";
import { type CommandContext, type CommonOptions, print, printReport, runCommand } from "./run-command.js";
import { parsePath, parseScale, parseThreads } from "./values.js";

interface VerifyCommandOptions extends CommonOptions, HubCommandOptions {
  base?: string;
  delta?: string;
  dtype?: keyof typeof DTYPES;
  scale?: number;
  newRows?: MatchRules["newRows"];
  trimPad?: true;
  deltaOnly?: MatchRules["deltaOnly"];
  baseOnly?: MatchRules["baseOnly"];
  threads?: number;
}

export function addVerifyCommand(program: Command): void {
  const onSides = ["error", "keep", "drop"];
  const command = program
    .command("verify")
    .argument("<target>", "a model's folder, or owner/name on the Hub", parsePath)
    .description("checks that a model is whole; with --base and --delta, that every bit is their sum")
    .option("--base <model>", "what it was made from: compute the whole sum again", parsePath)
    .option("--delta <model>", "likewise; both or neither", parsePath)
    .addOption(new Option("--dtype <dtype>", "how it was made").choices(Object.keys(DTYPES)))
    .option("--scale <x>", "how it was made", parseScale)
    .addOption(new Option("--new-rows <rule>", "how it was made").choices(["zero", "mean", "error"]))
    .option("--trim-pad", "how it was made")
    .addOption(new Option("--delta-only <rule>", "how it was made").choices(onSides))
    .addOption(new Option("--base-only <rule>", "how it was made").choices(onSides))
    .option("--threads <n>", "worker threads (default: one a core, 4 at most)", parseThreads);
  addHubOptions(command)
    .option("--json", "print one JSON document on stdout")
    .option("--no-progress", "show no progress")
    .option("--quiet", "print errors and warnings only")
    .option("--verbose", "print stack traces of errors")
    .helpOption("--help", "print this help")
    .addHelpText(
      "after",
      "\nHow the target was made is read from its vicuna-apply-delta.json; an option given here goes before that.",
    )
    .action((target: string, options: VerifyCommandOptions) =>
      runCommand(options, (context) => verify(target, options, context)),
    );
}

async function verify(
  target: string,
  options: VerifyCommandOptions,
  { signal, reporter, endWith }: CommandContext,
): Promise<void> {
  const { base, delta, dtype, scale, newRows, trimPad, deltaOnly, baseOnly, threads } = options;
  if ((base === undefined) !== (delta === undefined)) {
    throw new ApplyDeltaError("bad-usage", "The sum needs both sides: --base and --delta.", {
      got: base === undefined ? "--delta alone" : "--base alone",
      hint: "Give both, or neither to check the target by itself.",
    });
  }
  const { verifyTarget } = await import("../index.js");
  const { formatVerification } = await import("./verify-text.js");
  const verification = await verifyTarget({
    target,
    ...(base === undefined || delta === undefined ? {} : { sources: { base, delta } }),
    ...(dtype === undefined ? {} : { dtype: DTYPES[dtype] }),
    ...(scale === undefined ? {} : { scale }),
    ...(threads === undefined ? {} : { threads }),
    hub: hubOptionsOf(options, environment()),
    rules: {
      ...(newRows === undefined ? {} : { newRows }),
      ...(trimPad === undefined ? {} : { trimRows: trimPad }),
      ...(deltaOnly === undefined ? {} : { deltaOnly }),
      ...(baseOnly === undefined ? {} : { baseOnly }),
    },
    reporter,
    signal,
  });
  if (options.json) print(JSON.stringify(verification, null, 2));
  else if (!options.quiet || verification.verdict === "failed")
    printReport((paint) => formatVerification(verification, paint));
  if (verification.verdict === "failed") endWith(EXIT.verification);
}
