/**
 * In: the program's definition. Out: its man page, in the macros of man(7).
 * Guards: pure ASCII, and no text of the definition is taken for a request or an escape of roff.
 */

import type {
  ArgumentDefinition,
  CommandDefinition,
  OptionDefinition,
  ValueDefinition,
} from "../src/cli/definition.js";
import { VARIABLES } from "../src/cli/environment.js";
import { ENVIRONMENT_HEADING, EXIT_CODES_HEADING, listExitCodes } from "../src/cli/help-text.js";
import { PROVENANCE } from "../src/target/provenance.js";
import { CHECKSUMS } from "../src/target/sha256sums.js";
import { stagingPathOf } from "../src/target/target.js";

const FILES: readonly (readonly [string, string])[] = [
  [
    stagingPathOf("<target>"),
    "what an interrupted run has finished; running the same command again goes on from it",
  ],
  ["<target>.replaced-<number>", "an old target, while --overwrite puts the new one in its place"],
  [`<target>/${PROVENANCE}`, "what was merged from what, and by which rules; read by verify"],
  [`<target>/${CHECKSUMS}`, "written with --checksums; read by verify and by sha256sum -c"],
  ["~/.cache/huggingface/hub", "models from the Hub, shared with Python's huggingface_hub"],
  ["~/.cache/huggingface/token", "the token that huggingface-cli login stores"],
];

/** One page for the program and all its commands. */
export function manPage(program: CommandDefinition, version: string): string {
  const { name, commands } = program;
  const all = [program, ...commands];
  return [
    `.TH ${roff(name.toUpperCase())} 1 "" "${roff(`${name} ${version}`)}" "User Commands"`,
    ".SH NAME",
    `${roff(name)} \\- ${roff(decapitalized(program.description))}`,
    ".SH SYNOPSIS",
    ...paragraphs(all.map(({ usage }) => [synopsis(usage)])),
    ".SH DESCRIPTION",
    prose(program.description),
    ".P",
    prose("Progress and messages go to standard error; standard output holds the result alone."),
    ".SH COMMANDS",
    ...commands.flatMap((command) => entry(bold(command.name), command.description)),
    ".SH OPTIONS",
    ...all.flatMap((command) => section(command, command === program)),
    ".SH EXIT STATUS",
    ...listExitCodes().flatMap(({ code, meaning }) => entry(bold(String(code)), meaning)),
    ".SH ENVIRONMENT",
    ...VARIABLES.flatMap(({ names, meaning }) => entry(names.map(bold).join(", "), meaning)),
    ".SH FILES",
    ...FILES.flatMap(([path, meaning]) => entry(italic(path), meaning)),
    ".SH EXAMPLES",
    ...paragraphs(
      all.flatMap((command) =>
        blocksOf(command)
          .filter(isExample)
          .map((block) => shown(block.slice(1))),
      ),
    ),
    ".SH SEE ALSO",
    prose(`${name} <command> --help`),
    ".br",
    `${bold("sha256sum")}(1)`,
    "",
  ].join("\n");
}

/** The options of one command, with its arguments before and its notes behind them. */
function section(command: CommandDefinition, isProgram: boolean): string[] {
  const notes = blocksOf(command).filter((block) => !isExample(block) && !isTable(block));
  return [
    `.SS ${roff(isProgram ? "Without a command" : command.name)}`,
    ...command.arguments.flatMap(argumentEntry),
    ...command.options.flatMap(optionEntry),
    ...notes.flatMap((block) => [".P", ...mixed(block)]),
  ];
}

const argumentEntry = ({ value, description }: ArgumentDefinition) =>
  entry(italic(value.placeholder), description);

function optionEntry({ flags, value, description }: OptionDefinition): string[] {
  const names = flags.map(bold).join(", ");
  return entry(value === null ? names : `${names} ${placeholder(value)}`, description);
}

const placeholder = ({ placeholder, isOptional }: ValueDefinition) =>
  isOptional ? `[${italic(placeholder)}]` : italic(placeholder);

const entry = (term: string, text: string) => [".TP", term, prose(text)];

/** The paragraphs of the help behind the options, each as its lines. */
function blocksOf({ notes }: CommandDefinition): string[][] {
  const blocks = notes.split(/\n{2,}/).map((block) => block.split("\n").filter((line) => line !== ""));
  return blocks.filter((block) => block.length > 0);
}

const isExample = ([first = ""]: readonly string[]) => /^Examples?:$/.test(first);
const isTable = ([first = ""]: readonly string[]) =>
  first === EXIT_CODES_HEADING || first === ENVIRONMENT_HEADING;

/** Lines of prose, and indented ones that are shown as they are. */
function mixed(lines: readonly string[]): string[] {
  return lines.flatMap((line) => (line.startsWith(" ") ? [".P", ...shown([line])] : [prose(line)]));
}

const shown = (lines: readonly string[]) => [
  ".RS 4",
  ".EX",
  ...lines.map((line) => roff(line.trim())),
  ".EE",
  ".RE",
];

const paragraphs = (all: readonly (readonly string[])[]) =>
  all.flatMap((lines, i) => (i === 0 ? lines : [".P", ...lines]));

/** `<model>` in italics, `[options]` as it is, what is typed in bold. */
function synopsis(usage: string): string {
  const words = usage.split(" ").map((word) => {
    if (word.startsWith("[")) return roff(word);
    return word.startsWith("<") ? italic(word.slice(1, -1)) : bold(word);
  });
  return words.join(" ");
}

/** A line of text: options in bold, placeholders in italics. */
function prose(text: string): string {
  return text
    .split(/((?<![\w-])--?[a-z][\w-]*|<[\w/-]+>)/)
    .map((part, i) =>
      i % 2 === 0 ? roff(part) : part.startsWith("<") ? italic(part.slice(1, -1)) : bold(part),
    )
    .join("");
}

const bold = (text: string) => `\\fB${roff(text)}\\fR`;
const italic = (text: string) => `\\fI${roff(text)}\\fR`;

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "-": "\\-",
  "'": "\\(aq",
  '"': "\\(dq",
  "`": "\\(ga",
  "^": "\\(ha",
  "~": "\\(ti",
};

/** Text that is only text to roff, on its own line too. */
function roff(text: string): string {
  const escaped = text.replace(/[\\\-'"`^~]/g, (character) => ESCAPES[character] ?? character);
  const ascii = escaped.replace(
    /[^\x20-\x7e]/gu,
    (character) => `\\[u${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`,
  );
  return ascii.replace(/^\./, "\\&.");
}

const decapitalized = (text: string) => text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, "");
