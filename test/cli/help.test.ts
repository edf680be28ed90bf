/** The help of each command, whole, and what holds for every text in it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createProgram } from "../../src/cli/main.js";
import { projectPath } from "../support/fixture-path.js";
import { runCli } from "../support/run-cli.js";

const PROGRAM = createProgram();

for (const command of PROGRAM.commands) {
  test(`${command.name()} --help is its text`, async () => {
    const { code, stdout, stderr } = await runCli([command.name(), "--help"]);
    const text = readFileSync(projectPath(`test/fixtures/help/${command.name()}.txt`), "utf8");
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: text, stderr: "" });
  });
}

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
