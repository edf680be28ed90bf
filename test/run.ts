/**
 * Runs the tests, as many files at once as there are cores: `node dist/test/run.js`, with `--slow` those that end
 * processes, install or compile. Words that follow choose the files whose path holds one of them. Finds the files
 * itself: neither cmd.exe nor `node --test` of Node 20 expands a pattern.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";

const [first, ...rest] = process.argv.slice(2);
const isSlow = first === "--slow";
const words = isSlow || first === undefined ? rest : [first, ...rest];

const root = fileURLToPath(new URL(".", import.meta.url));
const ending = isSlow ? ".slow.js" : ".test.js";
const paths = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(ending))
  .filter((path) => words.length === 0 || words.some((word) => path.replaceAll(sep, "/").includes(word)))
  .map((path) => join(root, path))
  .sort();
if (paths.length === 0) throw new Error(`No test is named so: ${words.join(", ")}`);

// Node 20: a worker between two tasks waits for V8's background threads, one of which may be compiling for the main
// thread and wait for its collection of garbage, for ever.
const NO_DEADLOCK = "--no-concurrent-recompilation";
const concurrency = `--test-concurrency=${availableParallelism()}`;
const { status } = spawnSync(process.execPath, [NO_DEADLOCK, "--test", concurrency, ...paths], {
  stdio: "inherit",
});
process.exitCode = status ?? 1;
