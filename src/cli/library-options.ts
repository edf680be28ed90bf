/** A command of the library as one of commander's: its options are made of the rules, and given back by their names. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import type { HubOptions } from "../index.js";
import { bareRule, describeRule, type Flag, flagOf } from "../options.js";
import { hubOptionsOf } from "./environment.js";
import type { CommonOptions, Report } from "./output.js";
import { type CallContext, runCommand } from "./run-command.js";
import { parseNumber, parsePath, parseSize } from "./values.js";

/** An option that commander stores by its path in the library's options: `rules.newRows`. */
class LibraryOption extends Option {
  constructor(
    readonly path: string,
    { flags, help }: Flag,
    /** Whether the call fails without it. Groups are optional. */
    readonly isNeeded: boolean,
  ) {
    super(flags, help);
  }

  override attributeName(): string {
    return this.path;
  }
}

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
    if (flag !== undefined) command.addOption(createOption(path, rule, flag));
    else if (bare instanceof z.ZodObject) addLibraryOptions(command, bare, without, `${path}.`);
  }
  return command;
}

function createOption(path: string, rule: z.ZodType, flag: Flag): Option {
  const { success, data: byDefault } = rule.safeParse(undefined);
  const option = new LibraryOption(path, flag, !success && !path.includes("."));
  if (!option.required && !option.optional) return option;
  const bare = bareRule(rule);
  if (bare instanceof z.ZodEnum) {
    const wordOf = (value: unknown) => flag.words[String(value)] ?? String(value);
    const values = new Map(bare.options.map((value) => [wordOf(value), value]));
    const words = [...values.keys()];
    option.choices(words);
    const check = option.parseArg;
    option.argParser((word: string) => values.get(String(check?.(word, undefined))));
    if (option.optional) option.preset(words[0]);
    if (typeof byDefault === "string") option.default(byDefault, JSON.stringify(wordOf(byDefault)));
    return option;
  }
  const isSize = flag.flags.endsWith("<size>");
  option.argParser((word) => parseWord(word, bare, isSize));
  if (typeof byDefault === "number")
    option.default(byDefault, isSize ? `${byDefault / 1e9}GB` : String(byDefault));
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

/** Adds the options of every command, last. `quiet`: what --quiet does; null for a command without it. */
export function addCommonOptions(
  command: Command,
  quiet: string | null = "print errors and warnings only",
): Command {
  command.option("--json", "print one JSON document on stdout").option("--no-progress", "show no progress");
  if (quiet !== null) command.option("--quiet", quiet);
  return command.option("--verbose", "print details, and stack traces of errors");
}

/**
 * Sets what the command does: `body` gets the library's options by their names, `positional` those of the arguments,
 * and the command line's own flags.
 */
export function setAction<Options extends { readonly hub?: HubOptions | undefined }, Flags = object>(
  command: Command,
  positional: readonly string[],
  body: (call: Options & CallContext, flags: Flags) => Promise<Report>,
): void {
  command.action((...words: unknown[]) => {
    requireOptions(command);
    const given = givenOptions(command);
    for (const [i, name] of positional.entries()) given[name] = words[i];
    const flags = command.opts<Flags & CommonOptions>();
    return runCommand(flags, (context) => {
      const call = { ...given, ...context, hub: hubOptionsOf(given.hub as HubOptions | undefined) };
      return body(call as unknown as Options & CallContext, flags);
    });
  });
}

const libraryOptionsOf = (command: Command) =>
  command.options.filter((option) => option instanceof LibraryOption);

/** Ends with a usage error. Commander's own check would miss --base before it sees `--bas`. */
function requireOptions(command: Command): void {
  const missing = libraryOptionsOf(command).filter(
    ({ isNeeded, path }) => isNeeded && command.getOptionValue(path) === undefined,
  );
  if (missing.length === 0) return;
  const names = new Intl.ListFormat("en-GB").format(missing.map(({ long }) => long ?? ""));
  command.error(`error: missing ${names}`);
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
