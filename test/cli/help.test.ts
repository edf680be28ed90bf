/** The help of the program and of each command, whole, and what holds for every text in it. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { COMMAND_LIST, COMMANDS, createCommand, MAIN_COMMAND } from "../../src/cli/commands.js";
import { briefUsage, formatHelp, titleOf } from "../../src/cli/help.js";
import { GROUPS } from "../../src/options.js";
import { projectPath } from "../support/fixture-path.js";
import { runCli } from "../support/run-cli.js";

const PROGRAM = await createCommand(MAIN_COMMAND);
const COMMANDS_TO_SHOW = await Promise.all(
  Object.keys(COMMANDS).map(async (name) => ({ name, command: await createCommand(name) })),
);

/** The text a file has. `UPDATE_HELP=1 node --test dist/test/cli/help.test.js` writes what is printed into it. */
function assertIsText(file: string, printed: string): void {
  const path = projectPath(`test/fixtures/help/${file}.txt`);
  if (process.env.UPDATE_HELP !== undefined) writeFileSync(path, printed);
  assert.equal(printed, readFileSync(path, "utf8"), file);
}

for (const { name } of COMMANDS_TO_SHOW) {
  test(`${name} --help and -h are their texts, and so is help ${name}`, async () => {
    const run = async (...words: string[]) => {
      const { code, stdout, stderr } = await runCli(words);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      return stdout;
    };
    const text = await run(name, "--help");
    assertIsText(name, text);
    assert.equal(await run("help", name), text);
    assertIsText(`${name}-h`, await run(name, "-h"));
  });
}

test("apply is the main job's name: without it the help is the same", async () => {
  for (const flag of ["-h", "--help"])
    assert.equal((await runCli([flag])).stdout, (await runCli(["apply", flag])).stdout);
  assert.equal((await runCli(["help"])).stdout, (await runCli(["-h"])).stdout);
  const ofMake = (await runCli(["make", "--help"])).stdout;
  for (const words of [
    ["help", "make"],
    ["make", "help"],
    ["--help", "make"],
  ])
    assert.equal((await runCli(words)).stdout, ofMake, words.join(" "));
});

const shortHelp = (...page: Parameters<typeof briefUsage>) => formatHelp(...page, true);

test("-h has the main options, the commands and three examples in 25 lines of 80 columns", () => {
  const lines = shortHelp(PROGRAM, COMMAND_LIST, 80).trimEnd().split("\n");
  assert.ok(lines.length <= 25, `${lines.length} lines`);
  for (const [name] of COMMAND_LIST) assert.ok(lines.some((line) => line.startsWith(`  ${name} `)));
  assert.equal(lines.filter((line) => line.startsWith("  vicuna-apply-delta ")).length, 3);
});

for (const width of [40, 60, 80, 100, 120]) {
  test(`in ${width} columns no line is longer, and no word is broken`, () => {
    for (const { name, command } of COMMANDS_TO_SHOW) {
      const commands = name === MAIN_COMMAND ? COMMAND_LIST : [];
      for (const format of [shortHelp, formatHelp, briefUsage]) {
        const text = format(command, commands, width);
        const long = text.split("\n").filter((line) => line.length > width && / \S+ /.test(line.trim()));
        assert.deepEqual(long, [], name);
        const words = (wrapped: string) => wrapped.replaceAll(" \\\n", " ").split(/\s+/);
        assert.deepEqual(words(text), words(format(command, commands, 1000)), name);
      }
    }
  });
}

test("the groups come in their order, and each option is in one", () => {
  const titles = GROUPS.map(titleOf);
  for (const { name, command } of COMMANDS_TO_SHOW) {
    const own = command.options.map(({ helpGroupHeading }) => helpGroupHeading ?? "none");
    assert.deepEqual(
      own.filter((title) => !titles.includes(title)),
      [],
      name,
    );
    const shown = formatHelp(command, [], 80)
      .split("\n")
      .filter((line) => titles.includes(line));
    assert.deepEqual(
      shown,
      titles.filter((title) => own.includes(title)),
      name,
    );
  }
});

test("--version and -v print the package's", async () => {
  const { version } = JSON.parse(readFileSync(projectPath("package.json"), "utf8")) as { version: string };
  for (const flag of ["--version", "-v", "version"]) {
    const { code, stdout, stderr } = await runCli([flag]);
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `${version}\n`, stderr: "" });
  }
});

test("every help text starts in lower case and has at most 60 characters", () => {
  const texts = COMMANDS_TO_SHOW.flatMap(({ name, command }) => [
    ...(name === MAIN_COMMAND ? [] : [command.description()]),
    ...command.options.map(({ description }) => description),
  ]);
  assert.ok(texts.length > 100);
  assert.deepEqual(
    texts.filter((text) => text.length > 60 || !/^[a-z]/.test(text)),
    [],
  );
});

test("no arguments: three lines of usage and an example, and exit 2", async () => {
  const { code, stdout, stderr } = await runCli([]);
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  assert.deepEqual(stderr.split("\n"), [
    "Usage: vicuna-apply-delta --base <model> --delta <model> --target <folder>",
    "       vicuna-apply-delta make | verify | compare | inspect | upload | weights …",
    "       vicuna-apply-delta -h (the main options) or --help (all)",
    "",
    "Example:",
    "  vicuna-apply-delta -b llama-7b -d vicuna-7b-delta-v1.1 -o vicuna-7b",
    "",
  ]);
});
