/** docs/options.md has the program's options, exit codes and commands; what the docs name of variables is read. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { COMMANDS, createCommand, MAIN_COMMAND } from "../../src/cli/commands.js";
import { VARIABLES } from "../../src/cli/environment.js";
import { titleOf } from "../../src/cli/help.js";
import { EXIT, EXIT_MEANINGS } from "../../src/errors.js";
import { projectPath } from "../support/fixture-path.js";

const PAGE = readFileSync(projectPath("docs/options.md"), "utf8");
const { options } = await createCommand(MAIN_COMMAND);
/** FastChat's other names are named in a sentence. */
const OPTIONS = options.filter(
  ({ long, helpGroupHeading }) => helpGroupHeading !== titleOf("From FastChat") || long === "--low-cpu-mem",
);

/** The rows below a heading, cell by cell, without the table's own heading. */
function tableUnder(heading: string): string[][] {
  const section = PAGE.split(new RegExp(`^## ${heading}$`, "m"))[1]?.split(/^##/m)[0] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  return rows.slice(2).map((row) =>
    row
      .replaceAll("\\|", "\u0000")
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.replaceAll("\u0000", "|").trim()),
  );
}

/** What needs no row. */
const WITHOUT_ROW = ["--version", "--help"];

test("every option of the main job has a row, no other has", () => {
  const rows = tableUnder("Options");
  const named = rows.flatMap(([options = ""]) => options.match(/--[a-z][a-z-]*/g) ?? []);
  const flags = OPTIONS.map(({ long }) => long ?? "").filter((flag) => !WITHOUT_ROW.includes(flag));
  assert.deepEqual([...named].sort(), [...flags].sort());
});

test("choices are those there are", () => {
  for (const { long, argChoices, optional } of OPTIONS) {
    if (argChoices === undefined) continue;
    const row = tableUnder("Options").find(([options = ""]) => options.includes(`\`${long}`));
    const text = row?.[0] ?? "";
    const stated = /[ [`]([\w.|]*\|[\w.|]*)/.exec(text)?.[1]?.split("|") ?? [];
    // What an option without a value means needn't be a choice of the row.
    const choices = optional ? argChoices.filter((choice) => choice !== "auto") : argChoices;
    assert.deepEqual(stated.sort(), [...choices].sort(), text);
  }
});

test("exit codes and their meanings", () => {
  const rows = tableUnder("Exit codes").map(([codes = "", meaning = ""]) => [
    codes,
    meaning.replaceAll("`", ""),
  ]);
  const { interrupted, terminated, ...others } = EXIT;
  const kinds = Object.keys(others) as (keyof typeof others)[];
  assert.deepEqual(rows, [
    ...kinds
      .map((kind) => [String(EXIT[kind]), EXIT_MEANINGS[kind]])
      .sort(([a = ""], [b = ""]) => Number(a) - Number(b)),
    [`${interrupted}, ${terminated}`, "interrupted by Ctrl-C, by SIGTERM"],
  ]);
});

test("every variable that is named is read", () => {
  const known = new Set<string>(VARIABLES.flatMap(({ names }) => names));
  const hub = readFileSync(projectPath("docs/hub.md"), "utf8");
  const named = `${PAGE}${hub}`.match(/(?<=`)(?:HF_\w+|\w+_PROXY|\w+_COLOR)(?=`)/g) ?? [];
  assert.ok(named.length > 10);
  for (const name of named) assert.ok(known.has(name), name);
});

test("every command is named", () => {
  for (const name of Object.keys(COMMANDS).filter((name) => name !== MAIN_COMMAND))
    assert.ok(PAGE.includes(`\`vicuna-apply-delta ${name}`), name);
});
