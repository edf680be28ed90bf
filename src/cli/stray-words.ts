/** What was meant by words that belong to no option: a mistyped command, a glob, a space, names that were left out. */
import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Command } from "commander";
import type { ApplyDeltaError } from "../errors.js";
import { nearestName } from "../nearest.js";
import { PROGRAM_NAME } from "../version.js";
import { COMMANDS } from "./commands.js";
import {
  findOption,
  type Operand,
  type ReadWords,
  unnamedOptions,
  usageError,
  withHyphens,
} from "./words.js";

const ENTRIES = Object.entries(COMMANDS);

/** Errors: `bad-usage` where there are more operands than the command takes, or fewer. */
export function checkOperands(command: Command, read: ReadWords): void {
  const wanted = command.registeredArguments;
  const stray = read.operands[wanted.length];
  if (stray !== undefined) {
    if (isCommand(command, read, stray)) throw unknownCommand(stray.word);
    throw usageError(`Unexpected word: ${stray.word}.`, whatWasMeant(command, read, stray));
  }
  const missing = wanted[read.operands.length];
  if (missing === undefined) return;
  throw usageError(`Missing <${missing.name()}>.`, `Write ${command.name()} ${command.usage()}.`);
}

/** Whether a word that comes first is meant for a command. */
function isCommand(command: Command, { words, operands, options }: ReadWords, { word }: Operand): boolean {
  if (command.name() !== PROGRAM_NAME || words[0] !== word || existsSync(word)) return false;
  const unnamed = unnamedOptions(command, options).length;
  return words.length === 1 || unnamed === 0 || (/^[a-z]+$/.test(word) && operands.length < unnamed);
}

function whatWasMeant(command: Command, read: ReadWords, { word, after }: Operand): string {
  const { operands } = read;
  // Text that is copied out of a document has a long dash where two hyphens were typed.
  if (/^[–—−]/.test(word)) return `Write two hyphens: ${word.replace(/^[–—−-]+/, "--")}`;
  if (Object.hasOwn(COMMANDS, word)) return `Put the command first: ${PROGRAM_NAME} ${word} …`;
  const [name = ""] = word.split("=");
  if (findOption(command, withHyphens(`--${name}`)) && !existsSync(word))
    return `Write two hyphens: --${word}`;
  const words = operands.slice(command.registeredArguments.length).map((operand) => operand.word);
  const flagged = (value: string) => (after?.flag ? `${after.flag} ${value}` : value);
  const spaced = after === null ? null : joinedPath(after.value, words);
  if (spaced !== null) return `Put quotes around a path with spaces: ${flagged(`"${spaced}"`)}`;
  if (after !== null && isGlobbed(after.value, word))
    return `Give the folder, not its files: ${flagged(dirname(word))}`;
  const unnamed = unnamedOptions(command, read.options);
  const areAll = words.length === unnamed.length && !after?.flag;
  if (words.length <= unnamed.length && (areAll || words.every((path) => existsSync(path))))
    return `Name ${words.length === 1 ? "it" : "them"}: ${words.map((path, i) => `${unnamed[i]?.long} ${path}`).join(" ")}`;
  if (after?.flag) return `Put quotes around a path with spaces: ${after.flag} "${after.value} ${word}"`;
  const before = read.words[read.words.indexOf(word) - 1] ?? "";
  if (before.startsWith("-")) return `Leave it out: ${before} takes no value.`;
  return `\`${command.name()} --help\` shows the usage.`;
}

/** `my` and `models/llama` as `my models/llama`, if there is such a path. */
function joinedPath(first: string, rest: readonly string[]): string | null {
  for (let count = 1; count <= rest.length; count++) {
    const path = [first, ...rest.slice(0, count)].join(" ");
    if (existsSync(path)) return path;
  }
  return null;
}

/** Whether the shell made several files of one folder of what was written as `folder/*`. */
function isGlobbed(before: string, word: string): boolean {
  const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  return dirname(before) === dirname(word) && isFile(before) && isFile(word);
}

/** The command that was meant by a word that isn't one. */
function nearestCommand(word: string): string | null {
  const isCalled = ([, { elsewhere = [] }]: (typeof ENTRIES)[number]) =>
    elsewhere.includes(withHyphens(word));
  return ENTRIES.find(isCalled)?.[0] ?? nearestName(word, Object.keys(COMMANDS));
}

export function isMistyped(word: string): boolean {
  return nearestCommand(word) !== null && !existsSync(word);
}

export function unknownCommand(word: string): ApplyDeltaError {
  const near = nearestCommand(word);
  const hint =
    near === null ? `The commands are ${Object.keys(COMMANDS).join(", ")}.` : `Did you mean ${near}?`;
  return usageError(`Unknown command: ${word}.`, hint);
}
