/**
 * The command line: words in, typed options out, errors to messages and exit codes. Nothing is decided here that
 * a program calling `applyDelta` would have to decide again.
 */
import { Command, CommanderError } from "commander";
import { EXIT, EXIT_MEANINGS } from "../errors.js";
import { PROGRAM_NAME, programVersion } from "../version.js";
import { VARIABLES } from "./environment.js";
import { errorLabel, failWith, printError, watchOutputs } from "./output.js";
import { parsePath } from "./values.js";

const EXAMPLES = `
Examples:
  $ vicuna-apply-delta --base llama-7b --delta vicuna-7b-delta-v1.1 --target vicuna-7b
  $ vicuna-apply-delta --base llama-7b --delta vicuna-7b-delta-v1.1 --target vicuna-7b --dry-run
  $ vicuna-apply-delta --base huggyllama/llama-7b --delta lmsys/vicuna-7b-delta-v1.1 --target vicuna-7b
  $ vicuna-apply-delta --base llama-13b --delta delta.bin --target out --dtype bfloat16 --max-shard-size 2GB --json
  $ vicuna-apply-delta make --base llama-7b --target my-vicuna-7b --delta my-vicuna-7b-delta`;

interface CommandEntry {
  readonly description: string;
  /** Each positional argument and its help. */
  readonly positional: Readonly<Record<string, string>>;
  /** Its options and action. Their rules take zod, so a run loads those of the command it calls. */
  readonly load: () => Promise<{ readonly defineCommand: (command: Command) => void }>;
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  weights: {
    description: "list the releases of Vicuna, their bases and what works",
    positional: {},
    load: () => import("./weights-command.js"),
  },
  inspect: {
    description: "show what a checkpoint holds, or what a delta changes",
    positional: { "<model>": "a folder, a weights file, or owner/name on the Hub" },
    load: () => import("./inspect-command.js"),
  },
  verify: {
    description: "check that a model is whole, or is the sum it should be",
    positional: { "<target>": "a model's folder, or owner/name on the Hub" },
    load: () => import("./verify-command.js"),
  },
  compare: {
    description: "compare two models tensor by tensor",
    positional: {
      "<a>": "a folder, a weights file, or owner/name[@revision] on the Hub",
      "<b>": "another",
    },
    load: () => import("./compare-command.js"),
  },
  make: {
    description: "make a delta of a tuned model and its base",
    positional: {},
    load: () => import("./make-command.js"),
  },
  upload: {
    description: "send a model's folder to the Hugging Face Hub",
    positional: {
      "<folder>": "a model's folder",
      "<owner/name>": "the repository on the Hub, created if it doesn't exist",
    },
    load: () => import("./upload-command.js"),
  },
};

/** Runs the tool. `argv` as in `process.argv`. Sets `process.exitCode`, never exits. */
export async function main(argv: readonly string[]): Promise<void> {
  watchOutputs();
  // The words may not make sense as options, so only they say whether JSON is wanted.
  const json = argv.includes("--json") ? true : undefined;
  try {
    const program = await createProgram(argv.slice(2));
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) return failWith(error, { json });
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (error.exitCode !== 0 && json) printError("bad-usage", error.message.replace(/^error: /, ""), {});
  }
}

/** The program, with the options of those commands that the words name; by default of all. */
export async function createProgram(words = ["--help", ...Object.keys(COMMANDS)]): Promise<Command> {
  const program = new Command(PROGRAM_NAME)
    .usage("--base <model> --delta <model> --target <folder> [options]")
    .description("Applies delta weights to a base model: target = base + delta, bit for bit as PyTorch adds.")
    // The words after a command's name are that command's.
    .enablePositionalOptions()
    .version(programVersion(), "--version", "print the version")
    .helpOption("--help", "print this help")
    .helpCommand(false)
    .configureHelp({ subcommandTerm: (command) => `${command.name()} ${usageOf(command)}` })
    .addHelpText("after", EXAMPLES)
    .addHelpText("after", ({ command }) => helpTables(command))
    .allowExcessArguments(false)
    .showHelpAfterError(pointerToHelp(PROGRAM_NAME))
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, errorLabel)) })
    .exitOverride();
  const [first = ""] = words;
  if (first !== "--version" && !Object.hasOwn(COMMANDS, first))
    (await import("./apply-command.js")).defineCommand(program);
  for (const [name, { description, positional, load }] of Object.entries(COMMANDS)) {
    const command = program.command(name).description(description);
    command.showHelpAfterError(pointerToHelp(`${PROGRAM_NAME} ${name}`));
    for (const [spelling, help] of Object.entries(positional)) command.argument(spelling, help, parsePath);
    if (words.includes(name)) (await load()).defineCommand(command);
  }
  return program;
}

function usageOf({ registeredArguments }: Command): string {
  return ["[options]", ...registeredArguments.map((argument) => `<${argument.name()}>`)].join(" ");
}

function pointerToHelp(command: string): string {
  return `(${command} --help lists the options)`;
}

const TABLE_WIDTH = 110;

function helpTables(command: Command): string {
  const kinds = Object.keys(EXIT) as (keyof typeof EXIT)[];
  const codes = kinds.map((kind) => `  ${String(EXIT[kind]).padEnd(5)}${EXIT_MEANINGS[kind]}`);
  const names = VARIABLES.map(({ names }) => names[0]).join(", ");
  const wrapped = command.createHelp().boxWrap(names, TABLE_WIDTH - 2);
  return ["", "Exit codes:", ...codes, "", "Environment:", wrapped.replace(/^/gm, "  ")].join("\n");
}
