/** The man page: what it must hold, that nothing of the definitions is taken for roff, and what real readers say of it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Command } from "commander";
import { defineCommand } from "../../src/cli/definition.js";
import { VARIABLES } from "../../src/cli/environment.js";
import { createProgram } from "../../src/cli/main.js";
import { EXIT, EXIT_MEANINGS } from "../../src/errors.js";
import { programVersion } from "../../src/version.js";
import { manPage } from "../../tools/man-page.js";
import { projectPath } from "../support/fixture-path.js";

const PROGRAM = defineCommand(createProgram());
const PAGE = manPage(PROGRAM, programVersion());
const FILE = projectPath("man/vicuna-apply-delta.1");

const plain = (roff: string) =>
  roff
    .replace(/\\f[BIR]/g, "")
    .replaceAll("\\-", "-")
    .replaceAll("\\(aq", "'")
    .replaceAll("\\(dq", '"')
    .replaceAll("\\(ti", "~");

test("the page that is packed is the one of these definitions", () => {
  assert.equal(readFileSync(FILE, "utf8"), PAGE);
});

test("it has the sections a man page has, in their order", () => {
  const sections = [...PAGE.matchAll(/^\.SH (.*)$/gm)].map((match) => match[1]);
  assert.deepEqual(sections, [
    ...["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES"],
    ...["EXAMPLES", "SEE ALSO"],
  ]);
});

test("every option of every command is in its section, with its description", () => {
  const sections = new Map(
    PAGE.split(/^\.SH /m)
      .find((section) => section.startsWith("OPTIONS"))
      ?.split(/^\.SS /m)
      .map((section) => [section.slice(0, section.indexOf("\n")), plain(section).split("\n")]),
  );
  for (const command of [PROGRAM, ...PROGRAM.commands]) {
    const lines = sections.get(command === PROGRAM ? "Without a command" : command.name) ?? [];
    assert.ok(command.options.length > 0);
    for (const { flags, description } of command.options) {
      const at = lines.findIndex((line) => `${line} `.startsWith(`${flags.join(", ")} `));
      assert.ok(at > 0, flags.join());
      assert.equal(lines[at - 1], ".TP");
      const withoutPlaceholders = description.replace(/<([\w/-]+)>/g, "$1");
      assert.equal(lines[at + 1]?.replace("\\[u2026]", "…"), withoutPlaceholders);
    }
  }
});

test("exit codes, variables and examples are those of the program", () => {
  const lines = plain(PAGE).split("\n");
  for (const kind of Object.keys(EXIT) as (keyof typeof EXIT)[])
    assert.equal(lines[lines.indexOf(String(EXIT[kind])) + 1], EXIT_MEANINGS[kind]);
  for (const { names } of VARIABLES) assert.ok(lines.includes(names.join(", ")), names[0]);
  for (const command of [PROGRAM, ...PROGRAM.commands]) {
    const shown = command.notes.split("\n").filter((line) => line.startsWith("  $ "));
    for (const line of shown) assert.ok(lines.includes(line.trim()), line);
  }
  assert.ok(PROGRAM.notes.includes("  $ "));
});

test("no text is taken for a request or an escape, and the page is ASCII", () => {
  const program = new Command("x")
    .description(".SH no heading \\fB")
    .option("--it <value>", "'in the way\\n of “roff”")
    .addHelpText("after", "\n.TH again\n\n  .so /etc/passwd\n\nExamples:\n  $ x '~' \"^\"");
  const page = manPage(defineCommand(program), "1");
  assert.match(page, /^[\x20-\x7e\n]*$/);
  assert.equal(page.match(/^\.SH no/m), null);
  const lines = page.split("\n");
  for (const line of ["\\&.SH no heading \\efB", "\\&.TH again", "\\&.so /etc/passwd"])
    assert.ok(lines.includes(line), line);
  assert.ok(lines.includes("\\(aqin the way\\en of \\[u201C]roff\\[u201D]"));
  assert.ok(lines.includes("$ x \\(aq\\(ti\\(aq \\(dq\\(ha\\(dq"));
});

const READERS: readonly { readonly command: string; readonly args: readonly string[] }[] = [
  { command: "groff", args: ["-man", "-ww", "-Tutf8", "-z"] },
  { command: "mandoc", args: ["-Tlint", "-Wwarning"] },
];

describe("readers have nothing to complain about", () => {
  for (const { command, args } of READERS) {
    const isInstalled = spawnSync(command, ["--version"]).error === undefined;
    test(command, { skip: isInstalled ? false : `${command} is not installed` }, () => {
      const { stdout, stderr } = spawnSync(command, [...args, FILE], { encoding: "utf8" });
      // A date would make the page another one with each build.
      const complaints = `${stdout}${stderr}`.split("\n").filter((line) => !line.includes("missing date"));
      assert.deepEqual(complaints, [""]);
    });
  }
});
