/**
 * The words of a command line before commander reads them: an option that doesn't exist, a value that is missing and a
 * word that belongs to nothing are found here, where the other words are at hand to say what was meant.
 */
import type { Command, Option } from "commander";
import { ApplyDeltaError } from "../errors.js";
import { nearestName } from "../nearest.js";
import { orList } from "../options.js";

/** A word that is neither an option nor the value of one. */
export interface Operand {
  readonly word: string;
  /** The option or the operand right before it, with the value it took. */
  readonly after: { readonly flag: string | null; readonly value: string } | null;
}

export interface ReadWords {
  /** The same words, the names of options as they are defined. */
  readonly words: readonly string[];
  readonly operands: readonly Operand[];
  /** The options among them. */
  readonly options: ReadonlySet<Option>;
}

export function usageError(message: string, hint: string): ApplyDeltaError {
  return new ApplyDeltaError("bad-usage", message, { hint });
}

/** `--target "$TARGET"`: an empty path would mean the working folder. */
const IF_EMPTY = "Is a variable of the shell not set?";

/** `--base_model_path` is `--base-model-path`. */
const withHyphens = (name: string) => name.replaceAll("_", "-");

/** Errors: `bad-usage` for an unknown option, and for one without its value. */
export function readWords(command: Command, given: readonly string[]): ReadWords {
  const words: string[] = [];
  const operands: Operand[] = [];
  const options = new Set<Option>();
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
    options.add(option);
    // Of a short name, commander would take the = for a part of the value.
    words.push(value === undefined ? flag : `${option.long}=${value}`);
    after = null;
    if (value === "") throw usageError(`${flag} is empty.`, IF_EMPTY);
    if (value !== undefined || !(option.required || option.optional)) continue;
    const next = given[i + 1];
    if (next === "") throw usageError(`${flag} is empty.`, IF_EMPTY);
    if (next !== undefined && !isOption(command, next)) {
      words.push(next);
      after = { flag, value: next };
      i++;
    } else if (option.required) throw missingValue(flag, option, next);
  }
  return { words, operands, options };
}

function findOption({ options }: Command, flag: string): Option | undefined {
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

/** How many options are offered for one that doesn't exist. */
const MOST_OFFERED = 3;

function unknownOption(command: Command, name: string): ApplyDeltaError {
  const all = command.options.flatMap(({ short, long }) =>
    [long, short].filter((flag) => flag !== undefined),
  );
  const meant = meantBy(name, all);
  const hint =
    meant.length === 0 ? `\`${command.name()} --help\` lists the options.` : `Did you mean ${orList(meant)}?`;
  return usageError(`Unknown option ${name}.`, hint);
}

/** The options that begin so, or the one that is nearly so. `-base`, `-B` and `-bllama` are looked for, too. */
function meantBy(name: string, flags: readonly string[]): string[] {
  const bare = withHyphens(name).replace(/^-+/, "").toLowerCase();
  const long = `--${bare}`;
  const exact = flags.find((flag) => flag === long || flag === `-${bare}`);
  if (exact !== undefined) return [exact];
  const beginning = flags.filter((flag) => flag.startsWith(long)).sort((a, b) => a.length - b.length);
  if (beginning.length > 0) return beginning.slice(0, MOST_OFFERED);
  const [, short = "", value = ""] = /^(-[a-z])(.+)$/.exec(name) ?? [];
  if (flags.includes(short)) return [`${short} ${value}`];
  const near = nearestName(long, flags);
  return near === null ? [] : [near];
}
