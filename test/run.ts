/**
 * Runs the tests: `node dist/test/run.js`, with `--slow` those that end processes, install or compile, with `--times`
 * and what each file took. Words that follow choose the files whose path holds one of them. A process a core is kept and
 * takes file after file, since starting it and loading the program takes longer than most files' tests.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Tally } from "./support/report-file.js";

const FLAGS = ["--slow", "--times"];
const words = process.argv.slice(2).filter((word) => !FLAGS.includes(word));
const [isSlow, isTimed] = FLAGS.map((flag) => process.argv.includes(flag));

const root = fileURLToPath(new URL(".", import.meta.url));
const ending = isSlow ? ".slow.js" : ".test.js";
const paths = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(ending))
  .filter((path) => words.length === 0 || words.some((word) => path.replaceAll(sep, "/").includes(word)))
  .sort();
if (paths.length === 0) throw new Error(`No test is named so: ${words.join(", ")}`);

const REPORTER = new URL("./support/report-file.js", import.meta.url).href;

// Node 20: a worker between two tasks waits for V8's background threads, one of which may be compiling for the main
// thread and wait for its collection of garbage, for ever.
const NO_DEADLOCK = "--no-concurrent-recompilation";
const NODE_OPTIONS = [NO_DEADLOCK, `--test-reporter=${REPORTER}`, "--test-reporter-destination=stdout"];

interface FileResult extends Tally {
  readonly path: string;
  readonly seconds: number;
}

const results: FileResult[] = [];
const left = [...paths];

/** Has a new process run a file after the other, until none is left or the process dies. */
async function work(): Promise<void> {
  const child = fork(join(root, "support", "run-files.js"), { execArgv: NODE_OPTIONS });
  const exit = once(child, "exit");
  for (let path = left.shift(); path !== undefined && child.connected; path = left.shift()) {
    const startedAt = performance.now();
    child.send(join(root, path));
    const [tally] = (await Promise.race([once(child, "message"), exit])) as [Tally | number | null];
    if (typeof tally !== "object" || tally === null) break;
    results.push({ path, seconds: (performance.now() - startedAt) / 1000, ...tally });
  }
  if (child.connected) child.disconnect();
  const [code] = (await exit) as [number | null];
  if (code !== 0) process.exitCode = 1;
}

const startedAt = performance.now();
await Promise.all(Array.from({ length: Math.min(paths.length, availableParallelism()) }, work));

if (isTimed)
  for (const { path, seconds, cpuSeconds } of results.sort((a, b) => b.seconds - a.seconds))
    console.log(
      `${seconds.toFixed(1).padStart(7)} s, ${cpuSeconds.toFixed(1).padStart(5)} s of processor  ${path}`,
    );
const done = new Set(results.map(({ path }) => path));
const unfinished = paths.filter((path) => !done.has(path));
if (unfinished.length > 0) {
  process.exitCode = 1;
  console.log(`A process ended before it was done with: ${unfinished.join(", ")}`);
}
const count = (of: keyof Tally) => results.reduce((sum, result) => sum + result[of], 0);
const took = ((performance.now() - startedAt) / 1000).toFixed(0);
console.log(
  `${count("passed")} tests passed, ${count("failed")} failed, ${count("skipped")} skipped, in ${took} s`,
);
