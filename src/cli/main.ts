/**
 * The command line: words in, typed options out; errors to messages and exit codes. Nothing is decided here that
 * a program calling `applyDelta` would have to decide again.
 */
import { Command, CommanderError } from "commander";
import { EXIT } from "../errors.js";
import { PROGRAM_NAME, programVersion } from "../version.js";
import { addApplyCommand } from "./apply-command.js";
import { addCompareCommand } from "./compare-command.js";
import { tablesOfHelp } from "./help-text.js";
import { addInspectCommand } from "./inspect-command.js";
import { addMakeCommand } from "./make-command.js";
import { watchOutputs } from "./outputs.js";
import { errorLabel, printError } from "./run-command.js";
import { addUploadCommand } from "./upload-command.js";
import { addVerifyCommand } from "./verify-command.js";
import { addWeightsCommand } from "./weights-command.js";

const EXAMPLES = `
Examples:
  $ vicuna-apply-delta --base llama-7b --delta vicuna-7b-delta-v1.1 --target vicuna-7b
  $ vicuna-apply-delta --base llama-7b --delta vicuna-7b-delta-v1.1 --target vicuna-7b --dry-run
  $ vicuna-apply-delta --base huggyllama/llama-7b --delta lmsys/vicuna-7b-delta-v1.1 --target vicuna-7b
  $ vicuna-apply-delta --base llama-13b --delta delta.bin --target out --dtype bfloat16 --max-shard-size 2GB --json
  $ vicuna-apply-delta make --base llama-7b --target my-vicuna-7b --delta my-vicuna-7b-delta`;

/** Runs the tool. `argv` as in `process.argv`. Sets `process.exitCode`, never exits. */
export async function main(argv: readonly string[]): Promise<void> {
  watchOutputs();
  try {
    await createProgram().parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
    // The options could not be read, so whether JSON is wanted is seen from the words alone.
    if (error.exitCode !== 0 && argv.includes("--json"))
      printError("bad-usage", error.message.replace(/^error: /, ""), {});
  }
}

/** The program with all its commands. */
export function createProgram(): Command {
  const program = new Command(PROGRAM_NAME)
    .usage("--base <model> --delta <model> --target <folder> [options]")
    .description("Applies delta weights to a base model: target = base + delta, bit for bit as PyTorch adds.")
    // What stands behind a command's name is that command's.
    .enablePositionalOptions()
    .version(programVersion(), "--version", "print the version")
    .helpOption("--help", "print this help")
    .helpCommand(false)
    .addHelpText("after", EXAMPLES)
    .addHelpText("after", tablesOfHelp)
    .allowExcessArguments(false)
    .showHelpAfterError(pointerToHelp(PROGRAM_NAME))
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, errorLabel)) })
    .exitOverride();
  addApplyCommand(program);
  addWeightsCommand(program);
  addInspectCommand(program);
  addVerifyCommand(program);
  addCompareCommand(program);
  addMakeCommand(program);
  addUploadCommand(program);
  for (const command of program.commands)
    command.showHelpAfterError(pointerToHelp(`${PROGRAM_NAME} ${command.name()}`));
  return program;
}

function pointerToHelp(command: string): string {
  return `(${command} --help lists the options)`;
}
