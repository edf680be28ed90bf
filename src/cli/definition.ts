/**
 * In: the commander program. Out: what it defines, as plain data, that completions and the man page are made of.
 * Guards: nothing is listed by hand, so an option that is added to a command is in all of them.
 */
import type { Argument, Command, Option } from "commander";

/** What a value is, as far as a shell can help with it. */
export type ValueKind = "path" | "folder" | "size" | "text";

export interface ValueDefinition {
  /** `model`, as the help has it in angle brackets. */
  readonly placeholder: string;
  readonly isOptional: boolean;
  readonly kind: ValueKind;
  /** The only values there are, or none where any will do. */
  readonly choices: readonly string[];
}

export interface OptionDefinition {
  /** `--base-model-path` and `--base`: all that mean the same. */
  readonly flags: readonly string[];
  /** Null for a switch. */
  readonly value: ValueDefinition | null;
  readonly summary: string;
  /** The summary with choices and default, as the help prints it. */
  readonly description: string;
}

export interface ArgumentDefinition {
  readonly value: ValueDefinition;
  readonly description: string;
}

export interface CommandDefinition {
  /** `make`; the program's own name at the top. */
  readonly name: string;
  /** `vicuna-apply-delta make --base <model> …` */
  readonly usage: string;
  readonly description: string;
  readonly options: readonly OptionDefinition[];
  readonly arguments: readonly ArgumentDefinition[];
  readonly commands: readonly CommandDefinition[];
  /** What the help says behind the options. */
  readonly notes: string;
}

/** The program or one of its commands, with all below it. Hidden options and commands are left out. */
export function defineCommand(command: Command): CommandDefinition {
  const help = command.createHelp();
  return {
    name: command.name(),
    usage: help.commandUsage(command),
    description: command.description(),
    options: help.visibleOptions(command).map((option) => ({
      flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
      value: valueOfOption(option),
      summary: option.description,
      description: help.optionDescription(option),
    })),
    arguments: help.visibleArguments(command).map((argument) => ({
      value: valueOfArgument(argument),
      description: help.argumentDescription(argument),
    })),
    commands: help.visibleCommands(command).map(defineCommand),
    notes: textAfterHelp(command),
  };
}

/** What a placeholder says of its value; an option's that isn't here is any text. */
const KIND_OF_PLACEHOLDER: Readonly<Record<string, ValueKind>> = {
  model: "path",
  file: "path",
  folder: "folder",
  size: "size",
  "owner/name": "text",
};

function valueOfOption({ flags, required, optional, argChoices = [] }: Option): ValueDefinition | null {
  if (!required && !optional) return null;
  const placeholder = /[<[]([^>\]]+)[>\]]$/.exec(flags)?.[1] ?? "value";
  const kind = KIND_OF_PLACEHOLDER[placeholder] ?? "text";
  return { placeholder, isOptional: optional, kind, choices: argChoices };
}

/** An argument is named for its part (`a`, `target`); without choices, it is a model unless its name says otherwise. */
function valueOfArgument(argument: Argument): ValueDefinition {
  const choices = argument.argChoices ?? [];
  const kind = choices.length > 0 ? "text" : (KIND_OF_PLACEHOLDER[argument.name()] ?? "path");
  return { placeholder: argument.name(), isOptional: !argument.required, kind, choices };
}

function textAfterHelp(command: Command): string {
  const { writeOut } = command.configureOutput();
  let text = "";
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  command.configureOutput(writeOut === undefined ? {} : { writeOut });
  return text.slice(command.helpInformation().length);
}
