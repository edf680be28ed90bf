import { Command } from "commander";
import { PROGRAM_NAME } from "../version.js";
import { neededOptions } from "./library-option.js";
import { addFlag } from "./library-options.js";
import { parsePath } from "./values.js";

interface CommandEntry {
  readonly description: string;
  /** Each positional argument and its help. */
  readonly positional: Readonly<Record<string, string>>;
  /** What people call it who know other tools. */
  readonly elsewhere?: readonly string[];
  /** Left out of the lists of commands: who needs it comes from a page of the docs. */
  readonly isRare?: true;
  /** Its options and action. Their rules take zod, so a run loads those of the command it calls. */
  readonly load: () => Promise<{ readonly defineCommand: (command: Command) => void }>;
}

/** The main job: its name may be left out. */
export const MAIN_COMMAND = "apply";

export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  [MAIN_COMMAND]: {
    description: "merge a base and a delta (the word may be left out)",
    positional: {},
    elsewhere: ["merge", "apply-delta", "recover", "run"],
    load: () => import("./apply-command.js"),
  },
  make: {
    description: "make a delta of a tuned model and its base",
    positional: {},
    elsewhere: ["make-delta", "create", "extract"],
    load: () => import("./make-command.js"),
  },
  verify: {
    description: "check that a model is whole, or is the sum it should be",
    positional: { "<target>": "a model's folder, or owner/name on the Hub" },
    elsewhere: ["check", "validate"],
    load: () => import("./verify-command.js"),
  },
  compare: {
    description: "compare two models tensor by tensor",
    positional: {
      "<a>": "a folder, a weights file, or owner/name[@revision] on the Hub",
      "<b>": "another",
    },
    elsewhere: ["diff", "cmp"],
    load: () => import("./compare-command.js"),
  },
  inspect: {
    description: "show what a checkpoint holds, or what a delta changes",
    positional: { "<model>": "a folder, a weights file, or owner/name on the Hub" },
    elsewhere: ["info", "show", "stats"],
    load: () => import("./inspect-command.js"),
  },
  finish: {
    description: "complete a target whose parts (--part) are made",
    positional: {},
    isRare: true,
    load: () => import("./finish-command.js"),
  },
  upload: {
    description: "send a model's folder to the Hugging Face Hub",
    positional: {
      "<folder>": "a model's folder",
      "<owner/name>": "the repository on the Hub, created if it doesn't exist",
    },
    elsewhere: ["push"],
    load: () => import("./upload-command.js"),
  },
  weights: {
    description: "list the releases of Vicuna, their bases and what works",
    positional: {},
    elsewhere: ["list", "ls", "models"],
    load: () => import("./weights-command.js"),
  },
};

/** Names and descriptions, for the help of the program. */
export const COMMAND_LIST = Object.entries(COMMANDS)
  .filter(([, { isRare }]) => isRare !== true)
  .map(([name, { description }]) => [name, description] as const);

/** A command of the table with its options and action. It parses the words behind its name. */
export async function createCommand(name: string): Promise<Command> {
  const { description, positional, load } = COMMANDS[name] as CommandEntry;
  const isMain = name === MAIN_COMMAND;
  const command = new Command(isMain ? PROGRAM_NAME : `${PROGRAM_NAME} ${name}`)
    .description(isMain ? "Makes target = base + delta, bit for bit as PyTorch adds." : description)
    .helpOption(false)
    .exitOverride();
  for (const [spelling, help] of Object.entries(positional)) command.argument(spelling, help, parsePath);
  (await load()).defineCommand(command);
  addFlag(command, "Main", "-h, --help", "print the main options, with --help all options");
  if (isMain) addFlag(command, "Messages", "-v, --version", "print the version");
  const needed = neededOptions(command).map(({ long, flags }) => `${long} ${flags.split(" ").at(-1)}`);
  const words = [...Object.keys(positional), ...needed];
  return command.usage([...words, ...(needed.length === 0 ? ["[options]"] : [])].join(" "));
}
