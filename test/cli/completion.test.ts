/** What real shells complete with the scripts that the program prints. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { defineCommand } from "../../src/cli/definition.js";
import { createProgram } from "../../src/cli/main.js";
import { parseSize, SIZE_UNITS } from "../../src/cli/values.js";
import { temporaryFolder } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";
import { completionsOf, hasShell, SHELLS } from "../support/shells.js";

const PROGRAM = defineCommand(createProgram());

/** A file and two folders, one of them with a space in its name. */
const [FILE, FOLDER, SPACED] = ["delta.bin", "base", "my model"];

interface Case {
  readonly line: string;
  readonly gives: readonly string[];
}

const CASES: readonly Case[] = [
  { line: "co", gives: ["compare", "completion"] },
  { line: "make --ba", gives: ["--base", "--base-model-path", "--base-only", "--base-revision"] },
  { line: "--dtype ", gives: ["auto", "bfloat16", "float16", "float32"] },
  { line: "verify --dtype fl", gives: ["float16", "float32"] },
  { line: "--dtype=b", gives: ["--dtype=bfloat16"] },
  { line: "--chat-template=v1", gives: ["--chat-template=v1.1"] },
  { line: "--base ", gives: [FOLDER, FILE, SPACED] },
  { line: "--base=b", gives: [`--base=${FOLDER}`] },
  { line: "--target ", gives: [FOLDER, SPACED] },
  { line: "make --delta ", gives: [FOLDER, SPACED] },
  { line: "--threads ", gives: [] },
  { line: "--token ", gives: [] },
  { line: "--max-shard-size 2G", gives: ["2GB", "2GiB"] },
  { line: "--max-shard-size ", gives: [] },
  { line: "inspect ", gives: [FOLDER, FILE, SPACED] },
  { line: "compare base --all d", gives: [FILE] },
  { line: "upload ", gives: [FOLDER, SPACED] },
  { line: "upload base ", gives: [] },
  { line: "completion ", gives: [...SHELLS].sort() },
  // A model may be named like a command, an option like no option of the command at hand.
  { line: "--base make --dry", gives: ["--dry-run"] },
  { line: "--base make --delta d", gives: [FILE] },
  { line: "weights --", gives: ["--help", "--json"] },
];

/** Every command, and every flag of each, from the definitions themselves. */
const EVERYTHING: readonly Case[] = [
  { line: "--", gives: PROGRAM.options.flatMap(({ flags }) => flags).sort() },
  ...PROGRAM.commands.map(({ name, options }) => ({
    line: `${name} --`,
    gives: options.flatMap(({ flags }) => flags).sort(),
  })),
  ...PROGRAM.options.flatMap(({ flags, value }) =>
    value === null || value.isOptional || value.choices.length === 0
      ? []
      : flags.map((flag) => ({ line: `${flag} `, gives: [...value.choices].sort() })),
  ),
];

describe("completion", { concurrency: 3 }, () => {
  for (const shell of SHELLS) {
    test(shell, { skip: hasShell(shell) ? false : `${shell} is not installed` }, async (context) => {
      const root = temporaryFolder(context);
      const [folder, scratch] = [join(root, "work"), join(root, "scratch")];
      for (const path of [scratch, join(folder, FOLDER), join(folder, SPACED)])
        mkdirSync(path, { recursive: true });
      writeFileSync(join(folder, FILE), "");
      const { code, stdout: script, stderr } = await runCli(["completion", shell]);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      const cases = [...CASES, ...EVERYTHING];
      const lines = cases.map(({ line }) => line);
      const found = await completionsOf(shell, { script, lines, folder, scratch });
      assert.deepEqual(
        cases.map(({ line }, i) => ({ line, gives: found[i] })),
        cases.map(({ line, gives }) => ({ line, gives })),
      );
    });
  }
});

test("every unit that is offered is read", () => {
  for (const unit of SIZE_UNITS) assert.ok(parseSize(`1.5${unit}`) >= 1500, unit);
});

test("another shell is wrong usage, and the ones there are are named", async () => {
  const { code, stderr } = await runCli(["completion", "tcsh"]);
  assert.equal(code, 2);
  assert.match(stderr, /Allowed choices are bash, zsh, fish\./);
});
