/**
 * Merges in parts, as a scheduler runs them: several at once, some of them twice, some killed and run again. At the end
 * there is one target, the very one of a single run, and nothing else.
 */
import { existsSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { PartSummary } from "../../src/apply/documents.js";
import { EXIT } from "../../src/errors.js";
import { pick, type Random, randomFrom } from "../fuzz/random.js";
import { runCli } from "../support/run-cli.js";
import { clear, contents, difference, type SmallMerge } from "./small-merge.js";

export interface PartRow {
  readonly schedules: number;
  readonly parts: number;
  readonly runs: number;
  readonly killed: number;
  /** Runs that found another at work, and were run again. */
  readonly busy: number;
  /** Targets that no part completed, since the last one was killed. */
  readonly finished: number;
  readonly wrong: readonly string[];
}

interface Counts {
  parts: number;
  runs: number;
  killed: number;
  busy: number;
  finished: number;
}

/** Runs so many schedules of 2 to 8 parts. */
export async function runSchedules(merge: SmallMerge, schedules: number, seed: string): Promise<PartRow> {
  const counts: Counts = { parts: 0, runs: 0, killed: 0, busy: 0, finished: 0 };
  const wrong: string[] = [];
  clear(merge);
  const start = performance.now();
  const single = await runCli(merge.args);
  if (single.code !== 0) throw new Error(`the merge itself fails: ${single.stderr}`);
  const usualMs = performance.now() - start;
  const whole = contents(merge.target) ?? new Map();
  for (let i = 0; i < schedules; i++) {
    clear(merge);
    const problem = await runSchedule(merge, { random: randomFrom(seed, i), usualMs, whole, counts });
    if (problem !== null) wrong.push(`schedule ${i} of seed ${seed}: ${problem}`);
  }
  return { schedules, ...counts, wrong };
}

interface Schedule {
  readonly random: Random;
  readonly usualMs: number;
  readonly whole: ReadonlyMap<string, Buffer>;
  readonly counts: Counts;
}

async function runSchedule(merge: SmallMerge, schedule: Schedule): Promise<string | null> {
  const { random, whole, counts } = schedule;
  const count = 2 + random(7);
  counts.parts += count;
  // Some parts are started twice, as where a node was thought lost.
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  const started = [...numbers, ...numbers.filter(() => random(6) === 0)];
  const completed: PartSummary[] = [];
  const problems = await Promise.all(
    started.map((number) => runPart(merge, `${number}/${count}`, schedule, completed)),
  );
  const problem = problems.find((text) => text !== null);
  if (problem !== undefined) return problem;
  if (!existsSync(merge.target)) {
    counts.finished++;
    const { code, stderr } = await runCli(["finish", "--target", merge.target]);
    if (code !== 0) return `finish: exit ${code}: ${stderr}`;
  }
  if (completed.length > 1) return `${completed.length} parts completed the target`;
  const others = readdirSync(merge.out).filter((name) => name !== "target");
  if (others.length > 0) return `left over: ${others.join(", ")}`;
  return difference(contents(merge.target), whole);
}

/** Runs a part until it ends well. */
async function runPart(
  merge: SmallMerge,
  part: string,
  { random, usualMs, counts }: Schedule,
  completed: PartSummary[],
): Promise<string | null> {
  await sleep(random(usualMs / 2));
  for (let kills = 0; ; ) {
    const killAfterMs = kills < 3 && random(2) === 0 ? random(usualMs * 2) : null;
    let timer: NodeJS.Timeout | undefined;
    const { code, signal, stdout, stderr } = await runCli([...merge.args, "--part", part], {
      whileRunning(child) {
        if (killAfterMs !== null) timer = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
      },
    });
    clearTimeout(timer);
    counts.runs++;
    if (signal === "SIGKILL") {
      kills++;
      counts.killed++;
    } else if (code === EXIT.busy) {
      counts.busy++;
      await sleep(pick(random, [20, 50, 100]));
    } else if (code === EXIT.done) {
      const summary = JSON.parse(stdout) as PartSummary;
      if (summary.merge !== null) completed.push(summary);
      return null;
    } else return `part ${part}: exit ${code}: ${stderr}`;
  }
}
