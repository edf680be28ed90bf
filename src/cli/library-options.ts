/** The options of a command of the library, as commander's: made of their rules, given back by the library's names. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { bareRule, describeRule, type Flag, flagOf } from "../options.js";
import { formatSize, parseNumber, parseSize } from "./values.js";

/** An option that commander stores by its path in the library's options: `rules.newRows`. */
class LibraryOption extends Option {
  readonly path: string;

  constructor(path: string, { flags, help }: Flag) {
    super(flags, help);
    this.path = path;
  }

  override attributeName(): string {
    return this.path;
  }
}

/** Adds an option for each rule with a flag, those of groups too. `without`: paths to leave out. */
export function addLibraryOptions(
  command: Command,
  rules: z.ZodObject,
  without: readonly string[] = [],
): Command {
  for (const { path, rule, flag } of flaggedRules(rules, "")) {
    if (!without.includes(path)) command.addOption(createOption(path, rule, flag));
  }
  return command;
}

interface FlaggedRule {
  readonly path: string;
  readonly rule: z.ZodType;
  readonly flag: Flag;
}

function flaggedRules(rules: z.ZodObject, prefix: string): FlaggedRule[] {
  return Object.entries(rules.shape).flatMap(([name, rule]) => {
    const path = `${prefix}${name}`;
    const flag = flagOf(rule as z.ZodType);
    if (flag !== undefined) return [{ path, rule: rule as z.ZodType, flag }];
    const bare = bareRule(rule as z.ZodType);
    return bare instanceof z.ZodObject ? flaggedRules(bare, `${path}.`) : [];
  });
}

function createOption(path: string, rule: z.ZodType, flag: Flag): Option {
  const option = new LibraryOption(path, flag);
  if (!option.required && !option.optional) return option;
  const bare = bareRule(rule);
  const isSize = flag.flags.endsWith("<size>");
  const byDefault = rule.safeParse(undefined).data;
  if (bare instanceof z.ZodEnum) {
    const wordOf = (value: unknown) => flag.words[String(value)] ?? String(value);
    const values = new Map(bare.options.map((value) => [wordOf(value), value]));
    const words = [...values.keys()];
    option.choices(words);
    const check = option.parseArg;
    option.argParser((word: string) => values.get(String(check?.(word, undefined))));
    if (option.optional) option.preset(words[0]);
    if (typeof byDefault === "string") option.default(byDefault, JSON.stringify(wordOf(byDefault)));
  } else {
    option.argParser((word) => parseWord(word, bare, isSize));
    if (typeof byDefault === "number")
      option.default(byDefault, isSize ? formatSize(byDefault) : String(byDefault));
  }
  return option;
}

function parseWord(word: string, rule: z.ZodType, isSize: boolean): unknown {
  const value = isSize ? parseSize(word) : rule instanceof z.ZodNumber ? parseNumber(word) : word;
  const { success, error } = rule.safeParse(value);
  if (success) return value;
  parsePath(word);
  const [issue] = error.issues;
  const wanted = isSize || issue === undefined ? "a size such as 5GB, 500MB or 2GiB" : describeRule(issue);
  throw new InvalidArgumentError(`Use ${wanted}.`);
}

/** An empty path would mean the working folder: what `--target "$TARGET"` says when the variable isn't set. */
export function parsePath(word: string): string {
  if (word === "") throw new InvalidArgumentError("It is empty: is a variable of the shell not set?");
  return word;
}

/** Ends with a usage error where models aren't given. Commander would miss --base before it sees `--bas`. */
export function requireOptions(command: Command, paths: readonly string[]): void {
  const missing = command.options.filter(
    (option) =>
      paths.includes(option.attributeName()) && command.getOptionValue(option.attributeName()) === undefined,
  );
  if (missing.length === 0) return;
  const names = new Intl.ListFormat("en-GB").format(missing.map(({ long }) => long ?? ""));
  command.error(`error: missing ${names}`);
}

/** What was given, by the library's names; the compiler is told what `requireOptions` saw. */
export function libraryOptionsOf<Options>(command: Command): Options {
  const given: Record<string, unknown> = {};
  for (const option of command.options) {
    if (!(option instanceof LibraryOption)) continue;
    const value: unknown = command.getOptionValue(option.path);
    if (value !== undefined) put(given, option.path.split("."), value);
  }
  return given as Options;
}

function put(target: Record<string, unknown>, [name = "", ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) target[name] = value;
  else {
    target[name] ??= {};
    put(target[name] as Record<string, unknown>, rest, value);
  }
}
