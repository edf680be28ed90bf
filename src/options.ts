/** What options are made of: the rules for their values, how the command line spells them, and how they are checked. */
import * as z from "zod";
import { ApplyDeltaError } from "./errors.js";
import type { ProgressUpdate, Reporter } from "./progress.js";

/** The headings of the help, in their order. */
export const GROUPS = [
  ...["Main", "Output", "Checks", "How the target was made", "Hub", "Upload"],
  ...["When names or rows differ", "Speed and resuming", "Messages", "From FastChat"],
] as const;

/** How the command line spells an option. */
export interface Flag {
  /** As commander reads it: `-d, --delta <model>`. The word in brackets says how a value is read: `<size>`, `<folder>`. */
  readonly flags: string;
  /** What it does, for the help. */
  readonly help: string;
  /** Words that differ from the library's values: `F16` is `float16`. */
  readonly words?: Readonly<Record<string, string>>;
  /** Other words for the library's values, which the help doesn't list: `fp16` is `F16`. */
  readonly synonyms?: Readonly<Record<string, string>>;
  /** Other names of the option, for those who know them from FastChat. */
  readonly fastChat?: readonly string[];
  /** What other tools call it. Such a name isn't taken, but the error says which option is meant. */
  readonly elsewhere?: readonly string[];
}

const flags = z.registry<Flag>();
const groups = z.registry<{ readonly group: (typeof GROUPS)[number] }>();

/** Gives an option a flag on the command line. */
export function flag<Rule extends z.ZodType>(
  spelling: string,
  help: string,
  rule: Rule,
  more: Omit<Flag, "flags" | "help"> = {},
): Rule {
  flags.add(rule, { ...more, flags: spelling, help });
  return rule;
}

/** Puts options under a heading of the help. */
export function inGroup<Rules extends Readonly<Record<string, z.ZodType>>>(
  group: (typeof GROUPS)[number],
  rules: Rules,
): Rules {
  for (const rule of Object.values(rules)) groups.add(bareRule(rule), { group });
  return rules;
}

/** The same option where it means something else: with another help, under no heading yet, and without a default. */
export function reworded<Rule extends z.ZodType>(rule: Rule, help: string): Rule {
  const own = bareRule(rule).clone() as Rule;
  flags.add(own, { ...(flagOf(rule) as Flag), help });
  return own;
}

/** The rule that a default or `optional()` wraps. */
function innerRule(rule: z.ZodType): z.ZodType | undefined {
  return (rule.def as { readonly innerType?: z.ZodType }).innerType;
}

/** The rule without its defaults. */
export function bareRule(rule: z.ZodType): z.ZodType {
  const inner = innerRule(rule);
  return inner === undefined ? rule : bareRule(inner);
}

export function flagOf(rule: z.ZodType): Flag | undefined {
  const inner = innerRule(rule);
  return flags.get(rule) ?? (inner === undefined ? undefined : flagOf(inner));
}

/** The heading of the help that an option stands under. */
export function groupOf(rule: z.ZodType): (typeof GROUPS)[number] | undefined {
  return groups.get(bareRule(rule))?.group;
}

/** `a, b or c` */
export const orList = (words: readonly string[]) =>
  new Intl.ListFormat("en-GB", { type: "disjunction" }).format(words);

/** A name or a path. An empty one would mean the working folder. */
export const text = () => z.string({ error: "text that isn't empty" }).min(1, "text that isn't empty");

export const anyText = () => z.string({ error: "text" });

export const yesOrNo = () => z.boolean({ error: "true or false" });

/** An option that is off by default. */
export const toggle = (spelling: string, help: string) => flag(spelling, help, yesOrNo()).default(false);

/** Of a model on the Hub; by default `main`. */
export function revision(spelling: string, model: string) {
  const help = `use this branch, tag or commit of ${model} on the Hub`;
  const rule = flag(`${spelling} <rev>`, help, text()).optional();
  return inGroup("Hub", { rule }).rule;
}

export const oneOf = <const Words extends readonly string[]>(words: Words) =>
  z.enum(words, { error: () => orList(words) });

export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER) {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  const error = `a whole number ${range}`;
  return z.int({ error }).min(least, error).max(most, error);
}

export const tolerance = () => z.number({ error: "a number of at least 0" }).min(0, "a number of at least 0");

/** A factor; 0 would make a copy of the base. */
export const factor = () =>
  z.number({ error: "a number other than 0" }).refine((value) => value !== 0, "a number other than 0");

const isFunction = (value: unknown) => typeof value === "function";

const REPORTER_METHODS = ["detail", "note", "warn", "progress", "progressDone"] as const;

/** What every call takes besides its own options. */
export const callOptions = z.strictObject({
  /** Ends the call, which then rejects with the code `interrupted` once everything is closed. */
  signal: z.custom<AbortSignal>((value) => value instanceof AbortSignal, "an AbortSignal").optional(),
  /** Called several times a second with how far it is: short for a `reporter` with `progress` alone. */
  onProgress: z.custom<(update: ProgressUpdate) => void>(isFunction, "a function").optional(),
  /** Who is told what happens: any of the methods. Default: nobody. */
  reporter: z
    .custom<Partial<Reporter>>((value) => typeof value === "object" && value !== null, "an object")
    // It may be of a class, and have more in it, so it is looked at and not copied.
    .superRefine((reporter, { addIssue }) => {
      for (const path of REPORTER_METHODS) {
        if (reporter[path] !== undefined && !isFunction(reporter[path]))
          addIssue({ code: "custom", path: [path], message: "a function" });
      }
    })
    .optional(),
});

/** How a call is stopped, and who is told what happens. What a callback throws ends the call, which rejects with it. */
export type CallOptions = z.input<typeof callOptions>;

/** What the work of a call is given besides its own options. */
export interface WorkOptions {
  readonly signal?: AbortSignal | undefined;
  readonly reporter?: Reporter | undefined;
}

/** The options with their defaults. Errors: `bad-usage`, for the first option that is unknown or breaks its rule. */
export function parseOptions<Rules extends z.ZodObject>(rules: Rules, given: unknown): z.output<Rules> {
  const result = rules.safeParse(given);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw issue?.code === "unrecognized_keys"
    ? unknownOption(rules, issue.path, issue.keys[0] ?? "")
    : invalidOption(given, issue?.path ?? [], issue === undefined ? "" : describeRule(issue));
}

/** What an issue of zod asks for: `a whole number from 1 to 256`. */
export function describeRule({ code, message }: z.core.$ZodIssue): string {
  return code === "invalid_type" && message.startsWith("Invalid input") ? "an object" : message;
}

function invalidOption(given: unknown, path: readonly PropertyKey[], rule: string): ApplyDeltaError {
  let value = given;
  for (const name of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[name];
  const name = path.length === 0 ? "options" : path.join(".");
  const problem = value === undefined ? `Missing ${name}` : `Invalid ${name}: ${describeValue(value)}`;
  return new ApplyDeltaError("bad-usage", `${problem}.`, { hint: `Use ${rule}.` });
}

function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

function unknownOption(rules: z.ZodObject, path: readonly PropertyKey[], name: string): ApplyDeltaError {
  let group = rules;
  for (const part of path) group = bareRule(group.shape[String(part)] as z.ZodType) as z.ZodObject;
  return new ApplyDeltaError("bad-usage", `Unknown option: ${[...path, name].join(".")}.`, {
    expected: Object.keys(group.shape).join(", "),
    hint: "Check the name for a typo.",
  });
}
