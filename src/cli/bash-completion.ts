/**
 * In: the program's definition. Out: its completion for bash, 3.2 (macOS) and newer, as a script to `eval`.
 * Guards: file names are left to readline, which knows quoting, `~` and variables; where no file makes sense, none is
 * offered (but by bash 3.2, which can't be told).
 */
import type { CommandDefinition, ValueDefinition } from "./definition.js";
import { SIZE_UNITS } from "./values.js";

export function bashCompletion(program: CommandDefinition): string {
  const { name, commands } = program;
  const call = `_${name.replaceAll("-", "_")}`;
  const scopes = [program, ...commands].map((command) => ({
    scope: command === program ? "" : command.name,
    command,
  }));
  const valued = scopes.flatMap(({ scope, command }) =>
    command.options.flatMap(({ flags, value }) =>
      value === null ? [] : flags.map((flag) => ({ pattern: `${scope} ${flag}`, value })),
    ),
  );
  const first = [...commands.map((command) => command.name), ...flagsOf(program)];
  return `# bash completion for ${name}, made by: ${name} completion bash
${call}() {
  local word=\${COMP_WORDS[COMP_CWORD]} command='' option='' takes='' words='' position=0 before i
  COMPREPLY=()
  # What stands before: the command, its arguments, and an option that still waits for its value.
  for ((i = 1; i < COMP_CWORD; i++)); do
    before=\${COMP_WORDS[i]}
    # bash splits --option=value at the sign.
    [[ $before == = && -n $option ]] && takes=value && continue
    if [[ $takes == value || ($takes == perhaps && $before != -*) ]]; then
      option='' takes=''
      continue
    fi
    option='' takes=''
    case "$command $before" in
      ${cases(valued.map(({ pattern, value }) => [pattern, `option=$before takes=${value.isOptional ? "perhaps" : "value"}`]))}
      *' -'*) ;;
      ' '*) command=$before ;;
      *) ((position++)) ;;
    esac
  done
  [[ $word == = && -n $option ]] && word='' takes=value
  [[ $takes == perhaps && $word == -* ]] && option=''
  if [[ -n $option ]]; then
    case "$command $option" in
      ${cases(valued.map(({ pattern, value }) => [pattern, offer(value)]))}
    esac
  elif [[ $word == -* ]]; then
    case "$command" in
      ${cases(scopes.map(({ scope, command }) => [scope, offerWords(flagsOf(command))]))}
    esac
  else
    case "$command $position" in
      ${cases([
        [" 0", offerWords(first)],
        ...scopes.flatMap(({ scope, command }) =>
          command.arguments.map(({ value }, i): Case => [`${scope} ${i}`, offer(value)]),
        ),
      ])}
    esac
  fi
  compopt +o default 2>/dev/null
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F ${call} ${name}
`;
}

/** A pattern and what is done where it matches. */
type Case = readonly [string, string];

/** The branches of a `case`, one for all patterns that do the same. */
function cases(all: readonly Case[]): string {
  const patterns = new Map<string, string[]>();
  for (const [pattern, body] of all) patterns.set(body, [...(patterns.get(body) ?? []), `'${pattern}'`]);
  return [...patterns].map(([body, those]) => `${those.join(" | ")}) ${body} ;;`).join("\n      ");
}

const flagsOf = ({ options }: CommandDefinition) => options.flatMap(({ flags }) => flags);

const offerWords = (words: readonly string[]) => `words='${words.join(" ")}'`;

/** A return without a reply leaves it to readline. */
function offer({ kind, choices }: ValueDefinition): string {
  if (choices.length > 0) return offerWords(choices);
  if (kind === "path") return "return";
  if (kind === "folder") return "compopt -o dirnames +o default 2>/dev/null; return";
  if (kind === "text") return ":";
  const number = `\${word%%[a-zA-Z]*}`;
  return `[[ $word == [0-9]* ]] && words="${SIZE_UNITS.map((unit) => number + unit).join(" ")}"`;
}
