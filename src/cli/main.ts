/**
 * The command line: words in, typed options out, errors to messages and exit codes. Nothing is decided here that
 * a program calling `applyDelta` would have to decide again.
 */
import { EXIT } from "../errors.js";
import { programVersion } from "../version.js";
import { COMMAND_LIST, COMMANDS, createCommand, MAIN_COMMAND } from "./commands.js";
import { briefUsage, formatHelp, helpWidth } from "./help.js";
import { failWith, watchOutputs } from "./output.js";
import { withSmallHeap } from "./small-heap.js";
import { checkOperands, isMistyped, unknownCommand } from "./stray-words.js";
import { readWords } from "./words.js";

/** Runs the tool. `argv` as in `process.argv`. Sets `process.exitCode`, never exits. */
export async function main(argv: readonly string[]): Promise<void> {
  watchOutputs();
  const words = argv.slice(2);
  await withSmallHeap(async () => {
    try {
      await runWords(words);
    } catch (error) {
      // The words may not make sense as options, so only they say whether JSON is wanted.
      failWith(error, words.includes("--json") ? { json: true } : {});
    }
  });
}

/** Errors: `bad-usage`. Those of the command are printed. */
export async function runWords(words: readonly string[]): Promise<void> {
  const [first = "", ...others] = words;
  if (first === "help") return showHelp(others[0] ?? MAIN_COMMAND, others.length === 0);
  if (first === "version") return print(`${programVersion()}\n`);
  const isNamed = Object.hasOwn(COMMANDS, first);
  if (!isNamed && isMistyped(first)) throw unknownCommand(first);
  const name = isNamed ? first : MAIN_COMMAND;
  const rest = isNamed ? others : words;
  const isShort = rest.includes("-h");
  if (isShort || rest.includes("--help") || (isNamed && rest[0] === "help")) {
    const asked = isNamed ? name : rest.find((word) => Object.hasOwn(COMMANDS, word));
    return showHelp(asked ?? name, isShort && !rest.includes("--help"));
  }
  const isMain = name === MAIN_COMMAND;
  if (isMain && (rest.includes("-v") || rest.includes("--version"))) return print(`${programVersion()}\n`);
  const command = await createCommand(name);
  if (words.length === 0) {
    process.exitCode = EXIT.usage;
    return void process.stderr.write(briefUsage(command, COMMAND_LIST, helpWidth(process.stderr)));
  }
  const read = readWords(command, rest);
  checkOperands(command, read);
  await command.parseAsync(read.words, { from: "user" });
}

async function showHelp(name: string, isShort: boolean): Promise<void> {
  if (!Object.hasOwn(COMMANDS, name)) throw unknownCommand(name);
  const command = await createCommand(name);
  const commands = name === MAIN_COMMAND ? COMMAND_LIST : [];
  print(formatHelp(command, commands, helpWidth(process.stdout), isShort));
}

function print(text: string): void {
  process.exitCode = EXIT.done;
  process.stdout.write(text);
}
