/** The README: short, in its order, and true: each of its commands is run, and its output compared. */
import assert from "node:assert/strict";
import { cpSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { COMMANDS, MAIN_COMMAND } from "../../src/cli/commands.js";
import { projectPath } from "../support/fixture-path.js";
import { tinyRepositories } from "../support/hub-run.js";
import { startHub } from "../support/hub-server.js";
import { temporaryFolder } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";

const README = readFileSync(projectPath("README.md"), "utf8");
const MOST_WORDS = 1000;

const SECTIONS = [
  "Do I need this?",
  "Install",
  "Merge",
  "Disk and time before you start",
  "Coming from FastChat",
  "Use the result",
  "When something goes wrong",
  "Check a model",
  "Scripts, CI, Docker",
  "Library",
  "Platforms",
  "Speed",
  "Limits",
  "More",
];

/** The lines of its blocks of commands. */
const LINES = [...README.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, language, block = ""]) =>
  language === "" ? block.split("\n") : [],
);
const COMMAND_LINES = LINES.filter((line) => line.startsWith("vicuna-apply-delta "));

test("it is short", () => {
  const words = README.split(/\s+/).filter((word) => word !== "");
  assert.ok(words.length <= MOST_WORDS, `${words.length} words`);
});

test("its sections stand in the order in which a reader needs them", () => {
  assert.deepEqual(
    [...README.matchAll(/^## (.*)$/gm)].map(([, title]) => title),
    SECTIONS,
  );
  const firstScreen = README.slice(0, README.indexOf("## Install"));
  assert.ok(firstScreen.includes("](docs/mistakes.md)"));
});

test("every command is named", () => {
  for (const name of Object.keys(COMMANDS).filter((name) => name !== MAIN_COMMAND))
    assert.ok(
      README.includes(`\`vicuna-apply-delta ${name}`) ||
        COMMAND_LINES.some((line) => line.includes(` ${name} `)),
      name,
    );
});

test("every script of npm that it names is there", () => {
  const { scripts } = JSON.parse(readFileSync(projectPath("package.json"), "utf8")) as { scripts: object };
  const named = [...README.matchAll(/npm (?:run )?(test|example|[a-z]+:[a-z]+)\b/g)].map(
    ([, name = ""]) => name,
  );
  assert.ok(named.includes("test") && named.includes("example"));
  for (const name of named) assert.ok(name in scripts, name);
});

test("each of its commands does its work, in its order, on models of those names", async (context) => {
  const root = temporaryFolder(context);
  const repositories = tinyRepositories(root);
  renameSync(join(root, "local-base"), join(root, "llama-7b"));
  renameSync(join(root, "local-delta"), join(root, "vicuna-7b-delta-v1.1"));
  const hub = await startHub(
    { "huggyllama/llama-7b": repositories.base, "lmsys/vicuna-7b-delta-v1.1": repositories.delta },
    context,
  );
  const env = { HF_ENDPOINT: hub.url, HF_HOME: join(root, "home"), HF_HUB_OFFLINE: undefined };
  assert.ok(COMMAND_LINES.length > 5);
  for (const line of COMMAND_LINES) {
    const words = line.split(" ").slice(1);
    const isMerge = words.some((word) => word.startsWith("--target"));
    if (isMerge) rmSync(join(root, "vicuna-7b"), { recursive: true, force: true });
    const { code, stderr } = await runCli(words, { cwd: root, env });
    assert.equal(code, 0, `${line}\n${stderr}`);
    if (isMerge)
      cpSync(join(root, "vicuna-7b"), join(root, "other-vicuna-7b"), { recursive: true, force: true });
  }
});

/** A summary without what differs from run to run: the folder before `examples/`, and numbers of the last line. */
const steady = (text: string) =>
  text
    .replace(/^.*(?=\/examples\/)/, "…")
    .replace(/(?<=^ {2}took ).*$/m, (line) =>
      line.replace(/[\d.]+ (?:[kMG]?B|s)\b/g, "N").replace(/\d+ threads?/, "N threads"),
    );

test("the output of the example is the one it shows", async (context) => {
  const { scripts } = JSON.parse(readFileSync(projectPath("package.json"), "utf8")) as {
    scripts: { example: string };
  };
  const words = scripts.example.replace(/^.*vicuna-apply-delta\.js /, "").split(" ");
  const root = temporaryFolder(context);
  cpSync(projectPath("examples/tiny"), join(root, "examples/tiny"), { recursive: true });
  const { code, stdout } = await runCli(words, { cwd: root });
  assert.equal(code, 0);
  const shown = /^(…\/examples\/vicuna-tiny\n[\s\S]*?)^```$/m.exec(README)?.[1];
  assert.equal(steady(stdout), steady(shown ?? ""));
});
