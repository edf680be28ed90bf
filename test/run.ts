/**
 * Runs the tests: `node dist/test/run.js`, with `--slow` those that end processes, install or compile, with `--times`
 * and what each file took. Words that follow choose the files whose path holds one of them. A process a core is kept and
 * takes file after file, since starting it and loading the program takes longer than most files' tests; a slow file has
 * a process of its own. There is one more process than cores, for files that wait: for a disk, a process, a clock.
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
}

/** The longest begin first, so no core is idle at the end: `--times` says which they are. */
const LONGEST = [
  "cli/mistakes",
  "hub/stream",
  "hub/meanwhile",
  "merge/merge",
  "compare/gguf",
  "cli/hub",
  "cli/example",
  "kernel/arithmetic",
];

const isLong = (path: string) => LONGEST.some((name) => path.replaceAll(sep, "/").startsWith(name));

const results: FileResult[] = [];
const left = [...paths.filter(isLong), ...paths.filter((path) => !isLong(path))];

function printTimes(path: string, seconds: number, { cpuSeconds }: Tally): void {
  console.log(
    `${seconds.toFixed(1).padStart(7)} s, ${cpuSeconds.toFixed(1).padStart(5)} s of processor  ${path}`,
  );
}

/** Runs a file after the other, until none is left. */
async function work(): Promise<void> {
  while (left.length > 0) await workInProcess(isSlow ? 1 : paths.length);
}

/** Has a new process run so many files one after the other, or fewer where it dies. */
async function workInProcess(count: number): Promise<void> {
  const child = fork(join(root, "support", "run-files.js"), { execArgv: NODE_OPTIONS });
  const exit = once(child, "exit");
  for (let i = 0; i < count && child.connected; i++) {
    const path = left.shift();
    if (path === undefined) break;
    const startedAt = performance.now();
    child.send(join(root, path));
    const [tally] = (await Promise.race([once(child, "message"), exit])) as [Tally | number | null];
    if (typeof tally !== "object" || tally === null) break;
    results.push({ path, ...tally });
    if (isTimed) printTimes(path, (performance.now() - startedAt) / 1000, tally);
  }
  if (child.connected) child.disconnect();
  const [code] = (await exit) as [number | null];
  if (code !== 0) process.exitCode = 1;
}

const startedAt = performance.now();
const processes = isSlow ? availableParallelism() : availableParallelism() + 1;
await Promise.all(Array.from({ length: Math.min(paths.length, processes) }, work));

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
