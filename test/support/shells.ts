/**
 * Real shells, asked what they complete. Each reads the program's script, gets the lines typed one after the other, and
 * presses the key that inserts all completions (bash and zsh) or prints them (fish). In place of the program is a
 * function that writes down the words it is called with.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

const PROGRAM = "vicuna-apply-delta";

export function hasShell(shell: Shell): boolean {
  return spawnSync(shell, ["-c", "exit 0"]).status === 0;
}

interface Question {
  readonly script: string;
  /** What stands behind the program's name: `--dtype f`. The last word is the one to complete. */
  readonly lines: readonly string[];
  /** The working folder. */
  readonly folder: string;
  /** For what the shells write: scripts, words, their own files. */
  readonly scratch: string;
}

/** What stands in the place of each line's last word then, sorted; folders without a slash at the end. */
export async function completionsOf(shell: Shell, question: Question): Promise<string[][]> {
  const scriptPath = join(question.scratch, `script.${shell}`);
  writeFileSync(scriptPath, question.script);
  const found = await ASK[shell]({ ...question, scriptPath, wordsPath: join(question.scratch, "words") });
  return found.map((words) => words.map((word) => word.replace(/\/$/, "")).sort());
}

interface Asked extends Question {
  readonly scriptPath: string;
  readonly wordsPath: string;
}

const ASK: Readonly<Record<Shell, (asked: Asked) => Promise<string[][]>>> = {
  // Interactive bash has readline without a terminal, too. ESC * inserts all completions.
  async bash(asked) {
    const typed = [writeDown(asked), `source ${asked.scriptPath}`, ...typedLines(asked, "\u001b*"), "exit"];
    await run("bash", ["--norc", "--noprofile", "-i"], asked, `${typed.join("\n")}\n`);
    return writtenDown(asked);
  },

  // zsh's editor wants a terminal: zsh has a module that makes one.
  async zsh(asked) {
    const typed = [
      "autoload -Uz compinit && compinit -u -D",
      "zle -C all-matches complete-word _generic; bindkey '^Xa' all-matches",
      "zstyle ':completion:all-matches::::' completer _all_matches _complete",
      "zstyle ':completion:all-matches:*' insert true",
      writeDown(asked),
      `source ${asked.scriptPath}`,
      ...typedLines(asked, "\u0018a"),
      "exit",
    ];
    const type = (line: string) => `zpty -w inner '${line.replaceAll("'", "'\\''")}'`;
    const outer = ["zmodload zsh/zpty", "zpty inner zsh -f -i", ...typed.map(type)];
    const script = join(asked.scratch, "type.zsh");
    writeFileSync(script, [...outer, "while zpty -r inner line; do :; done"].join("\n"));
    await run("zsh", ["-f", script], asked, "");
    return writtenDown(asked);
  },

  async fish({ scriptPath, lines, ...asked }) {
    const ask = (line: string) => `echo '${END}'; complete -C '${PROGRAM} ${line}'`;
    const script = join(asked.scratch, "ask.fish");
    writeFileSync(script, [`source ${scriptPath}`, ...lines.map(ask)].join("\n"));
    const output = await run("fish", ["--no-config", script], asked, "");
    const answers = output.split(`${END}\n`).slice(1);
    const wordsOf = (answer: string) => answer.split("\n").flatMap((line) => line.split("\t")[0] || []);
    // An option with an optional value is offered with the sign as well.
    return answers.map((answer) => wordsOf(answer).filter((word) => !word.endsWith("=")));
  },
};

const END = "(end)";

const writeDown = ({ wordsPath }: Asked) => `${PROGRAM}() { printf '%s\\n' "$@" '${END}' >> ${wordsPath}; }`;

const typedLines = ({ lines }: Asked, key: string) => lines.map((line) => `${PROGRAM} ${line}${key}`);

function writtenDown({ wordsPath, lines }: Asked): string[][] {
  const calls = existsSync(wordsPath) ? readFileSync(wordsPath, "utf8").split(`${END}\n`).slice(0, -1) : [];
  return calls.map((call, i) => {
    const words = call.split("\n").slice(0, -1);
    return words.slice((lines[i] ?? "").split(" ").length - 1).filter((word) => word !== "");
  });
}

/** Resolves with what the shell printed, once it has ended. */
function run(
  shell: Shell,
  args: readonly string[],
  { folder, scratch }: Pick<Asked, "folder" | "scratch">,
  input: string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(shell, args, {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: scratch, TERM: "dumb", LC_ALL: "C.UTF-8" },
      stdio: ["pipe", "pipe", "ignore"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk;
    });
    child.on("error", reject);
    child.on("close", () => resolve(output));
    child.stdin.end(input);
  });
}
