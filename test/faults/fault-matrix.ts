/**
 * Runs a small merge once for each operation that can meet a fault, and looks at what every run leaves behind.
 * In: a kind of fault, a scenario. Out: counts, and every run that lost something or ended otherwise than it should.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { EXIT } from "../../src/errors.js";
import { stagingPathOf } from "../../src/target/describe.js";
import { FAULT_KINDS, type Fault, OPTIONS_VARIABLE } from "./fault-kinds.js";
import type { MergeReply, MergeRequest } from "./merge-process.js";
import {
  clear,
  contents,
  copyFolder,
  difference,
  makeOldTarget,
  makeSmallMerge,
  type SmallMerge,
} from "./small-merge.js";

/** What is in the target's place when the run with the fault begins. */
export const SCENARIOS = ["nothing", "an unfinished run", "an old target"] as const;
export type Scenario = (typeof SCENARIOS)[number];

/** A run takes a tenth of a second; this one hangs. */
const HANGS_MS = 30_000;

export interface MatrixRow {
  readonly kind: string;
  readonly scenario: Scenario;
  /** Operations that could meet the fault: as many runs had one. */
  steps: number;
  cleanErrors: number;
  survived: number;
  /** Target made, with a warning that something after it failed. */
  warned: number;
  readonly wrong: string[];
}

export interface MatrixOptions {
  readonly root: string;
  readonly rows: readonly Pick<MatrixRow, "kind" | "scenario">[];
  /** Every which operation meets the fault, and with which of them to begin. */
  readonly stride: number;
  readonly first: number;
  /** Rows worked on at once: they wait for the disk most of the time. */
  readonly jobs: number;
}

/** Runs the matrix, a few rows at a time; they come in any order. */
export async function runMatrix(options: MatrixOptions, onRow: (row: MatrixRow) => void): Promise<void> {
  const queue = [...options.rows];
  const lane = async (_: unknown, number: number) => {
    const bench = await openBench(makeSmallMerge(join(options.root, `${number}`)));
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift())
        onRow(await runRow(bench, next, options));
    } finally {
      bench.close();
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, lane));
}

interface Bench {
  readonly merge: SmallMerge;
  /** What an undisturbed run makes. */
  readonly whole: ReadonlyMap<string, Buffer>;
  /** What a run has left that finished some of its shards. */
  readonly unfinished: string;
  run(fault: Fault | null, more?: readonly string[]): Promise<MergeReply>;
  close(): void;
}

async function openBench(merge: SmallMerge): Promise<Bench> {
  let child: ChildProcess | null = null;
  const start = () =>
    fork(new URL("./merge-process.js", import.meta.url), {
      execArgv: ["--import", new URL("./fault-layer.js", import.meta.url).href],
      env: {
        ...process.env,
        // The test runner sets it for its own output on a terminal.
        FORCE_COLOR: "0",
        [OPTIONS_VARIABLE]: JSON.stringify({ source: merge.sources, target: merge.out, fault: null }),
      },
    });
  const run: Bench["run"] = async (fault, more = []) => {
    child ??= start();
    const running = child;
    const request: MergeRequest = { args: [...merge.args, ...more], fault };
    const timer = setTimeout(() => running.kill("SIGKILL"), HANGS_MS);
    const ended = new AbortController();
    try {
      running.send(request);
      return await Promise.race([
        once(running, "message", { signal: ended.signal }).then(([reply]) => reply as MergeReply),
        once(running, "exit", { signal: ended.signal }).then(([, signal]) => {
          child = null;
          throw new Error(signal === "SIGKILL" ? "it hung" : "the process died");
        }),
      ]);
    } finally {
      clearTimeout(timer);
      ended.abort();
    }
  };
  const undisturbed = await run(null);
  const whole = contents(merge.target);
  if (undisturbed.exit !== 0 || whole === null)
    throw new Error(`the merge itself fails: ${undisturbed.stderr}`);
  clear(merge);
  const unfinished = await makeUnfinished(run, merge);
  const close = () => {
    child?.kill();
    child = null;
  };
  return { merge, whole, unfinished, run, close };
}

/** Sets aside what a run leaves that has finished some of its shards: the later the fault, the more. */
async function makeUnfinished(run: Bench["run"], merge: SmallMerge): Promise<string> {
  const stash = `${merge.out}-unfinished`;
  let [low, high] = [0, Number.POSITIVE_INFINITY];
  for (let at = 16; high - low > 1; at = high < Number.POSITIVE_INFINITY ? (low + high) >> 1 : 2 * at) {
    const { stderr, exit } = await run({ kind: "ENOSPC", at });
    const finished = Number(/it goes on from here, with (\d+) of/.exec(stderr)?.[1] ?? 0);
    if (finished >= 1 && finished <= 3) {
      copyFolder(stagingPathOf(merge.target), stash);
      clear(merge);
      return stash;
    }
    clear(merge);
    if (exit === EXIT.done || finished > 3) high = at;
    else low = at;
  }
  throw new Error("no fault leaves some shards finished, and others not");
}

async function runRow(
  bench: Bench,
  { kind, scenario }: Pick<MatrixRow, "kind" | "scenario">,
  { first, stride }: Pick<MatrixOptions, "first" | "stride">,
): Promise<MatrixRow> {
  const row: MatrixRow = { kind, scenario, steps: 0, cleanErrors: 0, survived: 0, warned: 0, wrong: [] };
  for (let at = first; ; at += stride) {
    try {
      if (!(await runCell(bench, row, at))) return row;
    } catch (error) {
      row.wrong.push(`step ${at}: ${error instanceof Error ? error.message : String(error)}`);
      // The next run is not to suffer from this one.
      bench.close();
    }
    row.steps++;
  }
}

/** One run with a fault, and the next one without; false where the first was over before its fault. */
async function runCell(bench: Bench, row: MatrixRow, at: number): Promise<boolean> {
  const { merge, whole } = bench;
  clear(merge);
  const more = row.scenario === "an old target" ? ["--overwrite"] : [];
  if (row.scenario === "an old target") makeOldTarget(merge);
  if (row.scenario === "an unfinished run") copyFolder(bench.unfinished, stagingPathOf(merge.target));
  const before = contents(merge.target);
  const reply = await bench.run({ kind: row.kind, at }, more);
  if (reply.hit === null) return false;
  const where = `${reply.hit.operation} of a ${reply.hit.role}`;
  const expect = (isTrue: boolean, what: string) => {
    if (!isTrue) throw new Error(`${where}: ${what}\n${reply.stderr}`);
  };
  expect(reply.leaked === 0, `${reply.leaked} files stayed open`);
  const isDone = reply.exit === EXIT.done;
  if (isDone) {
    expectDone(expect, bench, reply);
    row[reply.stderr.includes("warning: the target is whole") ? "warned" : "survived"]++;
  } else {
    expectCleanError(expect, row.kind, reply);
    expect(isUntouched(merge, before, whole), "the target isn't as it was");
    row.cleanErrors++;
  }
  if (!isDone || readdirSync(merge.out).length > 1 || difference(contents(merge.target), whole) !== null) {
    const next = await bench.run(null, more);
    expect(next.exit === EXIT.done, `the next run fails: ${next.stderr}`);
  }
  const lost = difference(contents(merge.target), whole);
  expect(lost === null, `after the next run: ${lost}`);
  expect(readdirSync(merge.out).length === 1, `left over: ${readdirSync(merge.out).join(", ")}`);
  return true;
}

type Expect = (isTrue: boolean, what: string) => void;

function expectDone(expect: Expect, { merge, whole }: Bench, { stderr }: MergeReply): void {
  const made = contents(merge.target);
  const hidden = [...(made?.keys() ?? [])].filter((name) => name.startsWith(".vicuna-apply-delta"));
  for (const name of hidden) made?.delete(name);
  const lost = difference(made, whole);
  expect(lost === null, `exit 0, but ${lost}`);
  const isTidy = hidden.length === 0 && readdirSync(merge.out).length === 1;
  expect(isTidy || stderr.includes("warning: the target is whole"), "something is left, and no word of it");
}

function expectCleanError(expect: Expect, kind: string, { exit, hit, stdout, stderr }: MergeReply): void {
  expect(FAULT_KINDS.find(({ name }) => name === kind)?.isSurvived === false, "it has to be survived");
  const allowed: readonly number[] = hit?.role === "source" ? [EXIT.source, EXIT.malformed] : [EXIT.target];
  expect(allowed.includes(exit), `exit ${exit} instead of ${allowed.join(" or ")}`);
  const { error } = JSON.parse(stdout) as { error: Record<string, unknown> };
  expect(typeof error.file === "string" && error.file !== "", "no file is named");
  expect(typeof error.hint === "string" && error.hint !== "", "there is no hint");
  expect(stderr.startsWith("error: ") || stderr.includes("\nerror: "), "there is no message");
}

/** What was there is there; in the middle of publishing it may be beside, for the next run to put back. */
function isUntouched(
  merge: SmallMerge,
  before: ReadonlyMap<string, Buffer> | null,
  whole: ReadonlyMap<string, Buffer>,
): boolean {
  const now = contents(merge.target);
  if (before === null) return now === null;
  if (now !== null) return difference(now, before) === null || difference(now, whole) === null;
  const aside = readdirSync(merge.out).find((name) => name.startsWith("target.replaced-"));
  return aside !== undefined && difference(contents(join(merge.out, aside)), before) === null;
}
