/**
 * In: the program's definition. Out: its completion for fish, as a script to `source`.
 */
import type { CommandDefinition, OptionDefinition, ValueDefinition } from "./definition.js";
import { SIZE_UNITS } from "./values.js";

export function fishCompletion(program: CommandDefinition): string {
  const { name, commands } = program;
  const call = `__${name.replaceAll("-", "_")}`;
  const scopes = [program, ...commands].map((command) => ({
    scope: command === program ? "" : command.name,
    command,
  }));
  const consuming = scopes.flatMap(({ scope, command }) =>
    command.options
      .filter(({ value }) => value !== null && !value.isOptional)
      .flatMap(({ flags }) => flags.map((flag) => `'${scope} ${flag}'`)),
  );
  const complete = (condition: string, rest: string) =>
    `complete -c ${name} -n '${call}_${condition}' ${rest}`;
  return `# fish completion for ${name}, made by: ${name} completion fish
# Prints the command before the cursor, if there is one, and how many arguments it has there.
function ${call}_state
    set -l command ''
    set -l position 0
    set -l is_value no
    for word in (commandline -opc)[2..-1]
        if test $is_value = yes
            set is_value no
            continue
        end
        switch "$command $word"
            case ${consuming.join(" ")}
                set is_value yes
            case '* -*'
            case ' *'
                set command $word
            case '*'
                set position (math $position + 1)
        end
    end
    printf '%s\\n' $command $position
end

function ${call}_in
    set -l state (${call}_state)
    test "$state[1]" = "$argv[1]"
end

function ${call}_at
    set -l state (${call}_state)
    test "$state" = "$argv"
end

function ${call}_sizes
    set -l number (string match -r '^[0-9.]+' -- (commandline -ct | string replace -r '^--?[^=]*=' ''))
    and printf '%s\\n' $number${`{${SIZE_UNITS.join(",")}}`}
end

complete -c ${name} -f
${[
  ...commands.map((command) => complete('in ""', `-a ${command.name} -d ${quoted(command.description)}`)),
  ...scopes.flatMap(({ scope, command }) => [
    ...command.options.map((option) => complete(`in "${scope}"`, optionWords(option, call))),
    ...command.arguments.map(({ value }, i) => complete(`at ${scope} ${i}`, argumentWords(value))),
  ]),
].join("\n")}
`;
}

const DIRECTORIES = "-a '(__fish_complete_directories (commandline -ct))'";

function optionWords({ flags, value, summary }: OptionDefinition, call: string): string {
  const names = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  return [...names, ...(value === null ? [] : valueWords(value, call)), `-d ${quoted(summary)}`].join(" ");
}

/** `-x`: a value must follow, and no file name unless it is asked for. */
function valueWords({ kind, choices, isOptional }: ValueDefinition, call: string): string[] {
  const follows = isOptional ? "-f" : "-x";
  if (choices.length > 0) return [follows, `-a '${choices.join(" ")}'`];
  if (kind === "path") return [isOptional ? "-F" : "-r -F"];
  if (kind === "folder") return [follows, DIRECTORIES];
  return kind === "size" ? [follows, `-a '(${call}_sizes)'`] : [follows];
}

function argumentWords({ choices, kind }: ValueDefinition): string {
  if (choices.length > 0) return `-a '${choices.join(" ")}'`;
  if (kind === "folder") return DIRECTORIES;
  return kind === "path" ? "-F" : "-f";
}

const quoted = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;
