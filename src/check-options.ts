/**
 * In: options as a program in JavaScript may give them. Out: nothing, or the error that says which option is wrong.
 * Guards: an option of another name or with a value that makes no sense is an error, never ignored. The rules name
 * every option of a program: the compiler sees to it.
 */
import { ApplyDeltaError } from "./errors.js";

/** Looks at one option's value; `at` is its name. Throws `bad-usage`. */
export type OptionCheck = (value: unknown, at: string) => void;

/** A check for every option; one that may be left out takes `undefined`. */
export type OptionRules<Options> = { readonly [Name in keyof Required<Options>]: OptionCheck };

/** Checks all options. Errors: `bad-usage`. */
export function checkOptions<Options extends object>(options: Options, rules: OptionRules<Options>): void {
  shape(rules as unknown as Readonly<Record<string, OptionCheck>>)(options, "");
}

/** An object with these fields, and perhaps others. */
export function fields(rules: Readonly<Record<string, OptionCheck>>): OptionCheck {
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw refusal(at === "" ? "options" : at, "an object", value);
    for (const [name, check] of Object.entries(rules))
      check((value as Record<string, unknown>)[name], pathOf(name, at));
  };
}

/** An object with these fields and no others. */
export function shape(rules: Readonly<Record<string, OptionCheck>>): OptionCheck {
  return (value, at) => {
    for (const name of Object.keys(value ?? {})) {
      if (!Object.hasOwn(rules, name)) throw unknownOption(pathOf(name, at), Object.keys(rules));
    }
    fields(rules)(value, at);
  };
}

function pathOf(name: string, at: string): string {
  return at === "" ? name : `${at}.${name}`;
}

/** What may be left out. */
export function optional(check: OptionCheck): OptionCheck {
  return (value, at) => {
    if (value !== undefined) check(value, at);
  };
}

/** What may be null. */
export function nullable(check: OptionCheck): OptionCheck {
  return (value, at) => {
    if (value !== null) check(value, at);
  };
}

function expecting(expected: string, test: (value: unknown) => boolean): OptionCheck {
  return (value, at) => {
    if (!test(value)) throw refusal(at, expected, value);
  };
}

/** A name or a path. An empty one would mean the working folder. */
export const text = expecting("text that isn't empty", (value) => typeof value === "string" && value !== "");

/** Text that may be empty. */
export const anyText = expecting("text", (value) => typeof value === "string");

/** Yes or no. */
export const flag = expecting("true or false", (value) => typeof value === "boolean");

/** Something to call. */
export const callback = expecting("a function", (value) => typeof value === "function");

/** What stops a call. */
export const abortSignal = expecting("an AbortSignal", (value) => value instanceof AbortSignal);

/** One of some words: all of the type's, as the compiler sees to. */
export function oneOf<Word extends string>(words: Readonly<Record<Word, true>>): OptionCheck {
  const all = Object.keys(words);
  return expecting(`one of ${all.join(", ")}`, (value) => typeof value === "string" && all.includes(value));
}

/** A whole number from `least` to `most`. */
export function integer(least: number, most = Number.MAX_SAFE_INTEGER): OptionCheck {
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} on` : `${least} to ${most}`;
  return expecting(
    `a whole number from ${range}`,
    (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
  );
}

/** A finite number, 0 or greater. */
export const tolerance = expecting(
  "a number from 0 on",
  (value) => typeof value === "number" && Number.isFinite(value) && value >= 0,
);

/** A finite factor; 0 would make a copy of the base. */
export const factor = expecting(
  "a number other than 0",
  (value) => typeof value === "number" && Number.isFinite(value) && value !== 0,
);

function refusal(at: string, expected: string, value: unknown): ApplyDeltaError {
  return new ApplyDeltaError("bad-usage", `The option ${at} can't be that.`, {
    expected,
    got: value === undefined ? "nothing" : typeof value === "string" ? JSON.stringify(value) : String(value),
    hint: `Give ${at} ${expected}.`,
  });
}

function unknownOption(name: string, known: readonly string[]): ApplyDeltaError {
  return new ApplyDeltaError("bad-usage", `There is no option ${name}.`, {
    expected: known.join(", "),
    got: name,
    hint: "Check the name for a typo.",
  });
}
