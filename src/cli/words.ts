/**
 * The words of a command line before commander reads them: an option that doesn't exist, a value that is missing and a
 * word that belongs to nothing are found here, where the other words are at hand to say what was meant.
 */
import type { Command, Option } from "commander";
import { ApplyDeltaError } from "../errors.js";
import { nearestName } from "../nearest.js";
import { orList } from "../options.js";
import { LibraryOption, neededOptions } from "./library-option.js";

/** A word that is neither an option nor the value of one. */
export interface Operand {
  readonly word: string;
  /** The option or the operand right before it, with the value it took. */
  readonly after: { readonly flag: string | null; readonly value: string } | null;
}

/** An option as it was given. */
interface GivenOption {
  readonly option: Option;
  readonly flag: string;
  readonly value: string | undefined;
}

export interface ReadWords {
  /** The same words, the names of options as they are defined. */
  readonly words: readonly string[];
  readonly operands: readonly Operand[];
  readonly options: readonly GivenOption[];
}

export function usageError(message: string, hint: string): ApplyDeltaError {
  return new ApplyDeltaError("bad-usage", message, { hint });
}

/** `--target "$TARGET"`: an empty path would mean the working folder. */
const IF_EMPTY = "Is a variable of the shell not set?";

/** `--base_model_path` is `--base-model-path`. */
export const withHyphens = (name: string) => name.replaceAll("_", "-");

/** Errors: `bad-usage` for an unknown option, one without its value, and one with two. */
export function readWords(command: Command, given: readonly string[]): ReadWords {
  const words: string[] = [];
  const operands: Operand[] = [];
  const options: GivenOption[] = [];
  let after: Operand["after"] = null;
  for (let i = 0; i < given.length; i++) {
    const word = given[i] as string;
    if (word === "--" || !/^-./.test(word)) {
      const rest = word === "--" ? given.slice(i + 1) : [word];
      for (const operand of rest) {
        if (operand === "") throw usageError("An argument is empty.", IF_EMPTY);
        operands.push({ word: operand, after });
        after = { flag: null, value: operand };
      }
      words.push(...given.slice(i, word === "--" ? undefined : i + 1));
      if (word === "--") break;
      continue;
    }
    const [, name = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    const flag = withHyphens(name);
    const option = findOption(command, flag);
    if (option === undefined) throw unknownOption(command, name);
    // Of a short name, commander would take the = for a part of the value.
    words.push(value === undefined ? flag : `${option.long}=${value}`);
    after = null;
    if (value === "") throw usageError(`${flag} is empty.`, IF_EMPTY);
    const takesValue = option.required || option.optional;
    if (value !== undefined && !takesValue)
      throw usageError(`${flag} takes no value.`, `Write ${flag} alone.`);
    let taken = value;
    if (value === undefined && takesValue) {
      const next = given[i + 1];
      if (next === "") throw usageError(`${flag} is empty.`, IF_EMPTY);
      if (next !== undefined && !isOption(command, next)) {
        words.push(next);
        after = { flag, value: next };
        taken = next;
        i++;
      } else if (option.required) throw missingValue(flag, option, next);
    }
    options.push({ option, flag, value: taken });
  }
  refuseSecondValues(command, options);
  return { words, operands, options };
}

export function findOption({ options }: Command, flag: string): Option | undefined {
  return options.find(({ short, long }) => flag === short || flag === long);
}

/** Whether a word is an option, or was meant as one: a number and `-` are values. */
function isOption(command: Command, word: string): boolean {
  return /^--[a-z]/i.test(word) || findOption(command, word) !== undefined;
}

function missingValue(flag: string, { flags }: Option, next: string | undefined): ApplyDeltaError {
  const value = /<.*>/.exec(flags)?.[0] ?? "";
  const follows = next === undefined ? "." : `; what follows is another option, ${next}.`;
  return usageError(`${flag} needs a value${follows}`, `Write ${flag} ${value}.`);
}

const pathOf = ({ option }: GivenOption) => option.attributeName();

/** The options that must be given, and aren't. */
export function unnamedOptions(command: Command, given: readonly GivenOption[]): LibraryOption[] {
  const named = new Set(given.map(pathOf));
  return neededOptions(command).filter(({ path }) => !named.has(path));
}

/** Of two values one would be ignored without a word, and may be meant for another option. */
function refuseSecondValues(command: Command, given: readonly GivenOption[]): void {
  const firsts = new Map<string, GivenOption>();
  for (const second of given.filter(({ value }) => value !== undefined)) {
    const { flag, value } = second;
    const first = firsts.get(pathOf(second));
    firsts.set(pathOf(second), second);
    if (first === undefined) continue;
    const [unnamed] = unnamedOptions(command, given);
    const hint = unnamed === undefined ? `Give ${flag} once.` : `Did you mean ${unnamed.long} ${value}?`;
    const isTwice =
      first.flag === flag ? `${flag} is given twice` : `${first.flag} and ${flag} are one option`;
    throw usageError(`${isTwice}: ${first.value} and ${value}.`, hint);
  }
}

/** How many options are offered for one that doesn't exist. */
const MOST_OFFERED = 3;

function unknownOption(command: Command, name: string): ApplyDeltaError {
  return usageError(`Unknown option ${name}.`, hintFor(command, name));
}

function hintFor(command: Command, name: string): string {
  const opposite = name.startsWith("--no-") ? name.replace("no-", "") : name.replace("--", "--no-");
  if (findOption(command, opposite)) return `Leave it out: that is so unless ${opposite} is given.`;
  const meant = meantBy(name, command.options).slice(0, MOST_OFFERED);
  if (meant.length > 0) return `Did you mean ${orList(meant)}?`;
  if (command.registeredArguments.length === 0) return `\`${command.name()} --help\` lists the options.`;
  return `Write ${command.name()} ${command.usage()}; --help lists the options.`;
}

/** The options that were probably meant, by the first rule that finds any. `-base`, `-B` and `-bllama` are looked for, too. */
function meantBy(name: string, options: readonly Option[]): string[] {
  const bare = withHyphens(name).replace(/^-+/, "").toLowerCase();
  const flags = options.flatMap(({ short, long }) => [long, short].filter((flag) => flag !== undefined));
  const exact = flags.find((flag) => flag === `--${bare}` || flag === `-${bare}`);
  if (exact !== undefined) return [exact];
  for (const isSo of [(word: string) => word === bare, (word: string) => beginsWith(bare, word)]) {
    const elsewhere = options.filter(
      (option) => option instanceof LibraryOption && option.elsewhere.some(isSo),
    );
    if (elsewhere.length > 0) return elsewhere.map(({ long }) => `${long}`);
  }
  const choice = options.filter((option) => option.argChoices !== undefined && takes(option, bare));
  if (choice.length > 0) return choice.map(({ long }) => `${long} ${bare}`);
  const rules = [
    (long: string) => long.startsWith(`--${bare}`),
    (long: string) => beginsWith(`--${bare}`, long),
    (long: string) => long.endsWith(`-${bare}`) || bare.endsWith(long.slice(1)),
  ];
  const longs = flags.filter((flag) => flag.startsWith("--")).sort((a, b) => a.length - b.length);
  const found = rules.map((isMeant) => longs.filter(isMeant)).find(({ length }) => length > 0);
  if (found !== undefined) return found;
  const [, short = "", value = ""] = /^(-[a-z])(.+)$/.exec(name) ?? [];
  if (flags.includes(short)) return [`${short} ${value}`];
  const near = nearestName(`--${bare}`, flags);
  return near === null ? [] : [near];
}

/** Whether the words of a name with hyphens begin so. */
const beginsWith = (name: string, words: string) => name === words || name.startsWith(`${words}-`);

function takes({ parseArg }: Option, word: string): boolean {
  try {
    parseArg?.(word, undefined);
    return true;
  } catch {
    return false;
  }
}
