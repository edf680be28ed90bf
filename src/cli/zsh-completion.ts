/**
 * In: the program's definition. Out: its completion for zsh, as a file for `$fpath` that can also be sourced.
 */
import type { CommandDefinition, OptionDefinition, ValueDefinition } from "./definition.js";
import { SIZE_UNITS } from "./values.js";

export function zshCompletion(program: CommandDefinition): string {
  const { name, commands } = program;
  const own = `_${name}`;
  const specs = (command: CommandDefinition) => [
    ...command.options.map(optionSpec),
    ...command.arguments.map(
      ({ value }, i) =>
        `'${i + 1}${value.isOptional ? "::" : ":"}${escaped(value.placeholder)}:${action(value)}'`,
    ),
  ];
  const lines = (words: readonly string[]) => words.join(" \\\n    ");
  return `#compdef ${name}
# zsh completion for ${name}, made by: ${name} completion zsh
${own}_sizes() {
  local number=\${PREFIX%%[a-zA-Z]*}
  [[ $number == [0-9]* ]] && compadd -- $number${`{${SIZE_UNITS.join(",")}}`} || _message 'size'
}

${own}_commands() {
  local -a commands=(
    ${commands.map((command) => `'${quoted(`${command.name}:${command.description}`)}'`).join("\n    ")}
  )
  _describe -t commands command commands
}

${commands
  .map(
    (command) => `${own}_${command.name}() {
  _arguments ${lines(specs(command))}
}
`,
  )
  .join("\n")}
${own}() {
  local curcontext=$curcontext context state state_descr line
  typeset -A opt_args
  _arguments -C ${lines([...specs(program), `'(-)1:command:${own}_commands'`, `'(-)*::argument:->argument'`])} && return
  [[ $state == argument ]] || return
  curcontext="\${curcontext%:*:*}:${name}-$words[1]:"
  case $words[1] in
    ${commands.map((command) => `${command.name}) ${own}_${command.name} ;;`).join("\n    ")}
  esac
}

# Found in $fpath, the file is the function's body; sourced, it only defines it.
if [[ $funcstack[1] == ${own} ]]; then
  ${own} "$@"
else
  compdef ${own} ${name}
fi
`;
}

/** The flags of one option exclude each other: they mean the same. */
function optionSpec({ flags, value, summary }: OptionDefinition): string {
  const sign = value === null ? "" : "=";
  const rest = `[${escaped(summary)}]${value === null ? "" : valueSpec(value)}`;
  if (flags.length === 1) return `'${flags.join()}${sign}${rest}'`;
  return `'(${flags.join(" ")})'{${flags.map((flag) => `${flag}${sign}`).join(",")}}'${rest}'`;
}

const valueSpec = (value: ValueDefinition) =>
  `${value.isOptional ? "::" : ":"}${escaped(value.placeholder)}:${action(value)}`;

function action({ kind, choices }: ValueDefinition): string {
  if (choices.length > 0) return `(${choices.join(" ")})`;
  if (kind === "path") return "_files";
  if (kind === "folder") return "_files -/";
  return kind === "size" ? "_vicuna-apply-delta_sizes" : " ";
}

/** Within single quotes. */
const quoted = (text: string) => text.replaceAll("'", "'\\''");

/** Within a specification of `_arguments`. */
const escaped = (text: string) => quoted(text.replace(/[\\[\]:]/g, "\\$&"));
