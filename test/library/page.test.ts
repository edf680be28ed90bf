/** docs/library.md: its programs run and print what it says, and no function and no error code is missing. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import * as library from "../../src/index.js";
import { projectPath } from "../support/fixture-path.js";
import { startHub, TOKEN } from "../support/hub-server.js";
import { temporaryFolder } from "../support/model-folder.js";

const PAGE = readFileSync(projectPath("docs/library.md"), "utf8");

/** Each program with what it prints, which the page has after `// → `. */
const PROGRAMS = [...PAGE.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code = ""]) => ({
  code,
  output: [...code.matchAll(/^\/\/ → (.*\n)/gm)].map(([, line = ""]) => line).join(""),
}));

test("every program on the page runs and prints what the page says", async (context) => {
  const root = temporaryFolder(context);
  for (const side of ["base", "delta"])
    cpSync(projectPath(`examples/tiny/${side}`), join(root, side), { recursive: true });
  mkdirSync(join(root, "node_modules"));
  symlinkSync(projectPath("."), join(root, "node_modules", "vicuna-apply-delta"), "junction");
  const hub = await startHub({}, context);
  const env = { ...process.env, HF_ENDPOINT: hub.url, HF_TOKEN: TOKEN };
  const program = join(root, "program.mjs");
  for (const { code, output } of PROGRAMS) {
    writeFileSync(program, code);
    assert.notEqual(output, "", code);
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], { cwd: root, env });
    assert.deepEqual({ stdout, stderr }, { stdout: output, stderr: "" }, code);
  }
});

test("every function has a place and a program on the page", () => {
  const functions = Object.entries(library).filter(
    ([name, value]) => typeof value === "function" && name !== "ApplyDeltaError",
  );
  assert.ok(functions.length > 10);
  for (const [name] of functions) {
    assert.ok(
      PAGE.includes(`\`${name}\``) || PAGE.includes(`## ${name}\n`) || PAGE.includes(`\`${name}(`),
      name,
    );
    assert.ok(
      PROGRAMS.some(({ code }) => code.includes(`${name}(`)),
      `no program calls ${name}`,
    );
  }
});

test("every error code is on the page, beside its exit code", () => {
  const rows = [...PAGE.matchAll(/^\| (\d+), [^|]* \| (`[^|]*) \|$/gm)];
  const listed = rows.flatMap(([, exit, codes = ""]) =>
    [...codes.matchAll(/`([\w-]+)`/g)].map(([, code = ""]) => [code, Number(exit)]),
  );
  assert.deepEqual(Object.fromEntries(listed), library.EXIT_OF);
});
