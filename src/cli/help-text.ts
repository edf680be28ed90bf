/** What the help says behind the options of the program: blocks of lines, each under a heading, made of their tables. */
import { EXIT, EXIT_MEANINGS } from "../errors.js";
import { VARIABLES } from "./environment.js";

const WIDTH = 110;

/** Each exit code and what it means, by number. */
function listExitCodes(): { readonly code: number; readonly meaning: string }[] {
  const kinds = Object.keys(EXIT) as (keyof typeof EXIT)[];
  return kinds
    .map((kind) => ({ code: EXIT[kind], meaning: EXIT_MEANINGS[kind] }))
    .sort((a, b) => a.code - b.code);
}

/** The blocks of the help, an empty line before each. */
export function tablesOfHelp(): string {
  const codes = listExitCodes().map(({ code, meaning }) => `  ${String(code).padEnd(5)}${meaning}`);
  const names = wrap(VARIABLES.map(({ names }) => names[0]).join(", "), WIDTH - 2).map((line) => `  ${line}`);
  return ["", "Exit codes:", ...codes, "", "Environment:", ...names].join("\n");
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
