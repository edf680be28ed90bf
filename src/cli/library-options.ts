/** A command of the library as one of commander's: its options are made of the rules, and given back by their names. */
import { type Command, Option } from "commander";
import * as z from "zod";
import type { HubOptions } from "../index.js";
import { bareRule, describeRule, type Flag, flagOf, type GROUPS, groupOf, orList } from "../options.js";
import { hubOptionsOf } from "./environment.js";
import { titleOf } from "./help.js";
import { LibraryOption, libraryOptionsOf, neededOptions } from "./library-option.js";
import type { CommonOptions, Report } from "./output.js";
import { type CallContext, runCommand } from "./run-command.js";
import { likelySize, parseNumber, parsePath, parseSize } from "./values.js";
import { usageError } from "./words.js";

/** Adds an option for each rule with a flag, those of groups too, except the paths in `without`. */
export function addLibraryOptions(
  command: Command,
  rules: z.ZodObject,
  without: readonly string[] = [],
  prefix = "",
): Command {
  for (const [name, shape] of Object.entries(rules.shape)) {
    const rule = shape as z.ZodType;
    const path = `${prefix}${name}`;
    const flag = flagOf(rule);
    const bare = bareRule(rule);
    if (without.includes(path)) continue;
    if (flag !== undefined) for (const option of createOptions(path, rule, flag)) command.addOption(option);
    else if (bare instanceof z.ZodObject) addLibraryOptions(command, bare, without, `${path}.`);
  }
  return command;
}

/** The option, and FastChat's names for it. */
function createOptions(path: string, rule: z.ZodType, flag: Flag): Option[] {
  const isNeeded = !rule.safeParse(undefined).success && !path.includes(".");
  const option = new LibraryOption(path, flag.flags, flag.help, isNeeded, flag.elsewhere);
  const group = groupOf(rule);
  if (group !== undefined) option.helpGroup(titleOf(group));
  const value = flag.flags.split(" ").at(-1);
  const others = (flag.fastChat ?? []).map((name) => {
    const other = new LibraryOption(path, `${name} ${value}`, `the same as ${option.long}`, false);
    return other.helpGroup(titleOf("From FastChat"));
  });
  for (const each of [option, ...others]) readValuesBy(each, rule, flag);
  return [option, ...others];
}

/** Gives an option with a value its choices, its default and what reads its words. */
function readValuesBy(option: Option, rule: z.ZodType, flag: Flag): void {
  if (!option.required && !option.optional) return;
  const { data: byDefault } = rule.safeParse(undefined);
  const bare = bareRule(rule);
  if (bare instanceof z.ZodEnum) {
    const wordOf = (value: unknown) => flag.words?.[String(value)] ?? String(value);
    const values = new Map(bare.options.map((value) => [wordOf(value), value]));
    const words = [...values.keys()];
    const known = new Map([...values, ...Object.entries(flag.synonyms ?? {})]);
    const read = (word: string) => known.get(word) ?? known.get(word.toLowerCase());
    option.choices(words).argParser((word: string) => read(word) ?? refuseValue(option, word, orList(words)));
    if (option.optional) option.preset(words[0]);
    if (typeof byDefault === "string") option.default(byDefault, wordOf(byDefault));
    return;
  }
  const kind = /<(\w+)>/.exec(flag.flags)?.[1] ?? "";
  option.argParser((word) => parseWord(option, word, bare, kind));
  if (typeof byDefault === "number")
    option.default(byDefault, kind === "size" ? `${byDefault / 1e9}GB` : String(byDefault));
}

function refuseValue({ long }: Option, word: string, wanted: string): never {
  throw usageError(`Invalid ${long}: ${JSON.stringify(word)}.`, `Use ${wanted}.`);
}

/** What is read as a path, by the name of its value. */
const PATHS = ["model", "folder", "file"];

function parseWord(option: Option, word: string, rule: z.ZodType, kind: string): unknown {
  const isSize = kind === "size";
  if (isSize && /^\d*[1-9]\d*$/.test(word))
    throw usageError(`Invalid ${option.long}: ${word} has no unit.`, `Did you mean ${likelySize(word)}?`);
  const text = PATHS.includes(kind) ? parsePath(word) : word;
  const value = isSize ? parseSize(word) : rule instanceof z.ZodNumber ? parseNumber(word) : text;
  const { success, error } = rule.safeParse(value);
  if (success) return value;
  const [issue] = error.issues;
  const wanted = isSize || issue === undefined ? "a size such as 5GB, 500MB or 2GiB" : describeRule(issue);
  return refuseValue(option, word, wanted);
}

/** Adds an option of the command line alone. */
export function addFlag(
  command: Command,
  group: (typeof GROUPS)[number],
  flags: string,
  help: string,
  parse?: (word: string) => unknown,
): Command {
  const option = new Option(flags, help).helpGroup(titleOf(group));
  return command.addOption(parse === undefined ? option : option.argParser(parse));
}

/** Adds the options of every command, last. `quiet`: what --quiet does; null for a command without it. */
export function addCommonOptions(
  command: Command,
  quiet: string | null = "print errors and warnings only",
): Command {
  addFlag(command, "Messages", "--json", "print one JSON document on stdout");
  addFlag(command, "Messages", "--no-progress", "show no progress");
  if (quiet !== null) addFlag(command, "Messages", "--quiet", quiet);
  return addFlag(command, "Messages", "--verbose", "print details, and stack traces of errors");
}

/**
 * Sets what the command does: `body` gets the library's options by their names, `positional` those of the arguments,
 * and the command line's own flags.
 */
export function setAction<Options extends { readonly hub?: HubOptions | undefined }, Flags = object>(
  command: Command,
  positional: readonly string[],
  body: (call: Options & CallContext, flags: Flags) => Promise<Report>,
  folder?: string,
): void {
  command.action((...words: unknown[]) => {
    requireOptions(command);
    const given = givenOptions(command);
    for (const [i, name] of positional.entries()) given[name] = words[i];
    const flags = command.opts<Flags & CommonOptions>();
    const made = folder === undefined ? undefined : String(given[folder]);
    return runCommand(flags, made, (context) => {
      const call = { ...given, ...context, hub: hubOptionsOf(given.hub as HubOptions | undefined) };
      return body(call as unknown as Options & CallContext, flags);
    });
  });
}

/** Errors: `bad-usage`. */
function requireOptions(command: Command): void {
  const missing = neededOptions(command).filter(({ path }) => command.getOptionValue(path) === undefined);
  if (missing.length === 0) return;
  const names = new Intl.ListFormat("en-GB").format(missing.map(({ long }) => long ?? ""));
  throw usageError(`Missing ${names}.`, `Write ${command.name()} ${command.usage()}.`);
}

function givenOptions(command: Command): Record<string, unknown> {
  const given: Record<string, unknown> = {};
  for (const { path } of libraryOptionsOf(command)) {
    const value: unknown = command.getOptionValue(path);
    if (value === undefined) continue;
    const [first = "", ...rest] = path.split(".");
    const name = rest.pop();
    if (name === undefined) given[first] = value;
    else given[first] = { ...(given[first] as object | undefined), [name]: value };
  }
  return given;
}
