/** The help of the program and of each command, whole, and what holds for every text in it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createProgram } from "../../src/cli/main.js";
import { projectPath } from "../support/fixture-path.js";
import { runCli } from "../support/run-cli.js";

const PROGRAM = await createProgram();

for (const command of ["", ...PROGRAM.commands.map((command) => command.name())]) {
  test(`${command} --help is its text`, async () => {
    const { code, stdout, stderr } = await runCli([command, "--help"].filter((word) => word !== ""));
    const text = readFileSync(projectPath(`test/fixtures/help/${command || PROGRAM.name()}.txt`), "utf8");
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: text, stderr: "" });
  });
}

test("--version is the package's", async () => {
  const { version } = JSON.parse(readFileSync(projectPath("package.json"), "utf8")) as { version: string };
  const { code, stdout, stderr } = await runCli(["--version"]);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `${version}\n`, stderr: "" });
});

test("every help text starts in lower case and has at most 60 characters", () => {
  const texts = [PROGRAM, ...PROGRAM.commands].flatMap((command) => [
    ...(command === PROGRAM ? [] : [command.description()]),
    ...command.options.map(({ description }) => description),
  ]);
  assert.ok(texts.length > 100);
  assert.deepEqual(
    texts.filter((text) => text.length > 60 || !/^[a-z]/.test(text)),
    [],
  );
});
