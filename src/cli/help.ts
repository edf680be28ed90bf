/** The screens that `-h`, `--help` and no arguments at all print. */
import type { Command, Help, Option } from "commander";
import { EXIT, EXIT_MEANINGS } from "../errors.js";
import { GROUPS } from "../options.js";
import { VARIABLES } from "./environment.js";
import { wrapLine } from "./wrap.js";

/** What the help of a command says besides its options. */
export interface HelpPage {
  /** Command lines, the most usual first. */
  readonly examples: readonly string[];
  /** Paragraphs below the options. */
  readonly notes?: string;
}

/** What there is besides the command itself: names and one-line descriptions. */
export type CommandList = readonly (readonly [name: string, description: string])[];

const pages = new WeakMap<Command, HelpPage>();

export function setHelpPage(command: Command, page: HelpPage): void {
  pages.set(command, page);
}

/** Where no terminal says how wide it is; and what is too wide to read. */
const USUAL_WIDTH = 80;
const MOST_WIDTH = 120;
const LEAST_WIDTH = 40;

/** Of the terminal that stdout is, within what can be read. */
export function helpWidth({ columns }: { readonly columns?: number | undefined }): number {
  // Some pseudo-terminals have 0 columns.
  return Math.min(MOST_WIDTH, Math.max(LEAST_WIDTH, columns || USUAL_WIDTH));
}

/** Beside a name there must be room for so many letters of text; else the text goes below it. */
const LEAST_TEXT = 34;
const INDENT_BELOW = 8;

/** Texts begin no further to the right, though some names are longer. */
const MOST_NAME = 27;

/** `name` beside its text, or above it in a narrow terminal. */
function formatItem(name: string, longest: number, text: string, width: number): string {
  const nameWidth = Math.min(longest, MOST_NAME);
  const column = 2 + nameWidth + 2;
  if (width - column >= LEAST_TEXT) return wrapLine(`  ${name.padEnd(nameWidth)}  ${text}`, width, column);
  return `  ${name}\n${wrapLine(" ".repeat(INDENT_BELOW) + text, width, INDENT_BELOW)}`;
}

/** Names of options stand under each other, whether they have a short one or not. */
function optionTerm({ short, flags }: Option): string {
  return short === undefined ? `    ${flags}` : flags;
}

/** `write this dtype (auto, float16; default: auto)` */
function optionDescription({
  description,
  argChoices,
  defaultValue,
  defaultValueDescription,
}: Option): string {
  const byDefault = defaultValueDescription ?? (typeof defaultValue === "string" ? defaultValue : undefined);
  const facts = [argChoices?.join(", "), byDefault && `default: ${byDefault}`].filter(Boolean);
  return facts.length === 0 ? description : `${description} (${facts.join("; ")})`;
}

export const titleOf = (group: string) => `${group}:`;

/** The groups in their own order, whatever order the options were added in. */
const groupItems: Help["groupItems"] = (_, items, groupOf) => {
  const titles = [...GROUPS.map(titleOf), ...new Set(items.map(groupOf))];
  const grouped = new Map(titles.map((title) => [title, items.filter((item) => groupOf(item) === title)]));
  for (const [title, those] of grouped) if (those.length === 0) grouped.delete(title);
  return grouped;
};

/** Usage, description and options, as commander knows them. */
function formatOptions(command: Command, isShort: boolean, width: number): string {
  const main = command.options.filter(({ helpGroupHeading }) => helpGroupHeading === titleOf("Main"));
  // Of a command that has nothing there but its help, all options fit.
  const shown = isShort && main.length > 1 ? main : command.options;
  command.configureHelp({
    helpWidth: width,
    groupItems,
    optionTerm,
    optionDescription,
    visibleOptions: () => [...shown],
    formatItem: (name, nameWidth, text) => formatItem(name, nameWidth, text, width),
    boxWrap: (text) => wrapLine(text, width),
    styleUsage: (text) => wrapLine(`Usage: ${text}`, width, USAGE_INDENT).slice("Usage: ".length),
  });
  return command.helpInformation().trimEnd();
}

const USAGE_INDENT = 9;

/** A command line that can be copied: broken as a shell allows, an option and its value together. */
function formatExample(example: string, width: number): string {
  const [first = "", ...parts] = example.match(/-\S+(?: [^-]\S*)?|\S+/g) ?? [];
  const lines = [`  ${first}`];
  for (const [i, part] of parts.entries()) {
    const line = `${lines.at(-1)} ${part}`;
    const isLast = i === parts.length - 1;
    if (line.length + (isLast ? 0 : " \\".length) <= width) lines[lines.length - 1] = line;
    else lines.push(`      ${part}`);
  }
  return lines.join(" \\\n");
}

function formatExamples(command: Command, most: number, width: number): string[] {
  const { examples = [] } = pages.get(command) ?? {};
  if (examples.length === 0) return [];
  return ["", "Examples:", ...examples.slice(0, most).map((example) => formatExample(example, width))];
}

function formatList(title: string, items: CommandList, width: number): string[] {
  if (items.length === 0) return [];
  const nameWidth = Math.max(...items.map(([name]) => name.length));
  return ["", title, ...items.map(([name, text]) => formatItem(name, nameWidth, text, width))];
}

const HELP = ["help", "print all options of a command: help <command>"] as const;

/** Short, as -h prints it: what most runs need, on one screen. Else all there is, as --help prints it. */
export function formatHelp(command: Command, commands: CommandList, width: number, isShort = false): string {
  const { notes } = pages.get(command) ?? {};
  const hasNotes = !isShort && notes !== undefined;
  return [
    formatOptions(command, isShort, width),
    ...formatList("Commands:", commands.length === 0 ? [] : [...commands, HELP], width),
    ...formatExamples(command, isShort ? 3 : Number.POSITIVE_INFINITY, width),
    ...(hasNotes ? ["", ...notes.split("\n").map((line) => wrapLine(line, width))] : []),
    ...(isShort || commands.length === 0 ? [] : formatTables(width)),
    "",
  ].join("\n");
}

function formatTables(width: number): string[] {
  const kinds = Object.keys(EXIT) as (keyof typeof EXIT)[];
  const codes = kinds.map((kind) => [String(EXIT[kind]), EXIT_MEANINGS[kind]] as const);
  const variables = VARIABLES.map(({ names, meaning }) => [names[0], meaning] as const);
  return [...formatList("Exit codes:", codes, width), ...formatList("Environment:", variables, width)];
}

/** What no arguments at all print. */
export function briefUsage(command: Command, commands: CommandList, width: number): string {
  const names = commands.slice(1).map(([name]) => name);
  const [example = ""] = pages.get(command)?.examples ?? [];
  return [
    wrapLine(`Usage: ${command.name()} ${command.usage()}`, width, USAGE_INDENT),
    wrapLine(`       ${command.name()} ${names.join(" | ")} …`, width, USAGE_INDENT),
    wrapLine(`       ${command.name()} -h (the main options) or --help (all)`, width, USAGE_INDENT),
    "",
    "Example:",
    formatExample(example, width),
    "",
  ].join("\n");
}
