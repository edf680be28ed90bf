/** docs/library.md: its programs run and print what it says, and no function, option or error code is missing. */
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
import { refusal } from "../support/refusal.js";

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
  // One after the other in one process, since each begins with what the one before it made.
  const all = PROGRAMS.map((_, i) => `console.log("# ${i}");\nawait import("./${i}.mjs");\n`);
  writeFileSync(join(root, "all.mjs"), all.join(""));
  for (const [i, { code }] of PROGRAMS.entries()) writeFileSync(join(root, `${i}.mjs`), code);
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["all.mjs"], { cwd: root, env });
  assert.equal(stderr, "");
  const printed = stdout.split(/^# \d+\n/m).slice(1);
  for (const [i, { code, output }] of PROGRAMS.entries()) {
    assert.notEqual(output, "", code);
    assert.equal(printed[i], output, code);
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

/** Calls with one option more: an unknown one is refused with a list of those there are. */
const CALLS: Readonly<Record<string, (more: object) => Promise<unknown>>> = {
  applyDelta: (more) => library.applyDelta({ base: "a", delta: "b", target: "c", ...more }),
  applyPart: (more) => library.applyPart({ base: "a", delta: "b", target: "c", part: "1/2", ...more }),
  finishParts: (more) => library.finishParts({ target: "c", ...more }),
  makeDelta: (more) => library.makeDelta({ base: "a", tuned: "b", delta: "c", ...more }),
  compareModels: (more) => library.compareModels({ a: "a", b: "b", ...more }),
  inspectModel: (more) => library.inspectModel({ model: "a", ...more }),
  verifyTarget: (more) => library.verifyTarget({ target: "a", ...more }),
  uploadModel: (more) => library.uploadModel({ folder: "a", repository: "owner/a", ...more }),
};
const HUB_PARTS = [{ hub: { x: 1 } }, { hub: { transfer: { x: 1 } } }, { hub: { proxy: { x: 1 } } }];

test("every option is on the page", async () => {
  for (const [name, call] of Object.entries(CALLS)) {
    const rules = name === "applyDelta" || name === "makeDelta" ? [{ rules: { x: 1 } }] : [];
    for (const more of [{ x: 1 }, ...HUB_PARTS, ...rules]) {
      const { details } = await refusal(() => call(more), "bad-usage");
      const options = String(details.expected).split(", ");
      assert.ok(options.length > 1, name);
      for (const option of options) assert.ok(PAGE.includes(`\`${option}\``), `${name}: ${option}`);
    }
  }
});

test("every error code is on the page, beside its exit code", () => {
  const rows = [...PAGE.matchAll(/^\| (\d+), [^|]* \| (`[^|]*) \|$/gm)];
  const listed = rows.flatMap(([, exit, codes = ""]) =>
    [...codes.matchAll(/`([\w-]+)`/g)].map(([, code = ""]) => [code, Number(exit)]),
  );
  assert.deepEqual(Object.fromEntries(listed), library.EXIT_OF);
});
