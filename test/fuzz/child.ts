/**
 * The process that runs cases: node child.js <seed> <jobs as JSON> <progress file>.
 * Before each case its job and its number go into the progress file, so that the runner knows where a process ended or
 * hangs. Each job's counts go to the parent as a message.
 */
import { openSync, writeSync } from "node:fs";
import { peakMemoryBytes } from "../../src/merge/describe-output.js";
import { caseMaker, runCase } from "./cases.js";
import { TARGETS } from "./targets.js";

export interface ChildReport {
  readonly target: string;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  readonly slowestCase: number;
  /** Beside what the process took before its first case. */
  readonly peakMemoryBytes: number;
  readonly failure: { readonly number: number; readonly what: string } | null;
}

/** Cases `first` to `first + count - 1` of a target. */
export interface Job {
  readonly target: string;
  readonly first: number;
  readonly count: number;
}

const [seed = "", jobs = "", progress = ""] = process.argv.slice(2);
const progressFile = openSync(progress, "r+");
const idleBytes = process.memoryUsage.rss();

for (const [at, job] of (JSON.parse(jobs) as Job[]).entries()) {
  const report = await runJob(job, (number) => {
    const numbers = Buffer.alloc(16);
    numbers.writeBigUInt64LE(BigInt(at));
    numbers.writeBigUInt64LE(BigInt(number), 8);
    writeSync(progressFile, numbers, 0, 16, 0);
  });
  await new Promise((resolve) => process.send?.(report, resolve));
  if (report.failure !== null) break;
}
process.disconnect();

async function runJob(
  { target: name, first, count }: Job,
  started: (number: number) => void,
): Promise<ChildReport> {
  const target = TARGETS.find((candidate) => candidate.name === name);
  if (target === undefined) throw new Error(`there is no target ${name}`);
  const outcomes: Record<string, number> = {};
  const slowest = { ms: 0, number: -1 };
  let failure: ChildReport["failure"] = null;
  const makeCase = caseMaker(target, Number(seed));
  for (let number = first; number < first + count && failure === null; number++) {
    started(number);
    try {
      const { outcome, cpuMs } = await runCase(target, makeCase(number));
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (cpuMs > slowest.ms) Object.assign(slowest, { ms: cpuMs, number });
    } catch (error) {
      failure = { number, what: error instanceof Error ? (error.stack ?? String(error)) : String(error) };
    }
  }
  return {
    target: name,
    outcomes,
    slowestMs: slowest.ms,
    slowestCase: slowest.number,
    peakMemoryBytes: peakMemoryBytes() - idleBytes,
    failure,
  };
}
