/**
 * Runs cases in a process of its own, and finds what no process can say of itself: a hang, a crash, memory
 * without bound. One mechanism for `npm test` and `npm run fuzz`.
 */
import { fork } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { caseMaker } from "./cases.js";
import type { ChildReport, Job } from "./child.js";
import { TARGETS } from "./targets.js";

const CHILD = fileURLToPath(new URL("./child.js", import.meta.url));

/** Beside what Node.js and the fuzzer themselves take, which differs between versions of Node.js. */
export const MAX_MEMORY_BYTES = 192 * 1024 * 1024;

/** V8's own limit lies below, so that a heap that grows ends the process. */
const HEAP_MB = 160;

/** A case that goes on this long hangs, however busy the machine is. */
const HANG_MS = 20_000;

export interface TargetResult {
  readonly job: Job;
  /** Null where the process didn't come to the end of it. */
  readonly report: ChildReport | null;
  /** Null where all is well. */
  readonly failure: { readonly what: string; readonly number: number; readonly saved: string } | null;
}

/** Runs the jobs in one process, one after the other; after a failure the ones behind it are left out. */
export async function runJobs(jobs: readonly Job[], seed: number): Promise<TargetResult[]> {
  const progressFile = join(tmpdir(), `vicuna-fuzz-progress-${process.pid}`);
  writeFileSync(progressFile, Buffer.alloc(16));
  try {
    const { reports, ending } = await runChild([`${seed}`, JSON.stringify(jobs), progressFile]);
    const { job: jobAtEnd, number } = progressIn(progressFile);
    return jobs.flatMap((job, at): TargetResult[] => {
      const report = reports.find(({ target }) => target === job.target) ?? null;
      if (report === null && at !== jobAtEnd) return [];
      const failure = failureOf(report, number, ending);
      if (failure === null) return [{ job, report, failure }];
      return [{ job, report, failure: { ...failure, saved: save(job.target, seed, failure.number) } }];
    });
  } finally {
    rmSync(progressFile, { force: true });
  }
}

function failureOf(
  report: ChildReport | null,
  lastCase: number,
  ending: string,
): { what: string; number: number } | null {
  if (report === null) return { number: lastCase, what: ending };
  if (report.failure !== null) return report.failure;
  if (report.peakMemoryBytes <= MAX_MEMORY_BYTES) return null;
  return {
    number: report.slowestCase,
    what: `${report.peakMemoryBytes} bytes of memory; this is the slowest case`,
  };
}

function progressIn(path: string): { job: number; number: number } {
  const bytes = readFileSync(path);
  return { job: Number(bytes.readBigUInt64LE(0)), number: Number(bytes.readBigUInt64LE(8)) };
}

async function runChild(args: readonly string[]): Promise<{ reports: ChildReport[]; ending: string }> {
  const child = fork(CHILD, args, { execArgv: [`--max-old-space-size=${HEAP_MB}`], silent: true });
  const reports: ChildReport[] = [];
  let stderr = "";
  let hangs = false;
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk).slice(-4000);
  });
  child.on("message", (message) => reports.push(message as ChildReport));
  let last = { at: "", since: performance.now() };
  const watch = setInterval(() => {
    const at = JSON.stringify(progressIn(args.at(-1) ?? ""));
    if (at !== last.at) last = { at, since: performance.now() };
    else if (performance.now() - last.since > HANG_MS) {
      hangs = true;
      child.kill("SIGKILL");
    }
  }, 500);
  const code = await new Promise<string>((resolve) => {
    child.on("close", (exitCode, signal) => resolve(signal ?? `${exitCode}`));
  });
  clearInterval(watch);
  const ending = hangs
    ? `the case did not end within ${HANG_MS} ms`
    : `the process ended (${code}): ${stderr}`;
  return { reports, ending };
}

/** Keeps the input of a case that failed, and says where. */
function save(name: string, seed: number, number: number): string {
  const target = TARGETS.find((candidate) => candidate.name === name);
  if (target === undefined) return "";
  const folder = join(tmpdir(), "vicuna-fuzz-findings");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${target.name}-seed-${seed}-case-${number}`);
  writeFileSync(path, caseMaker(target, seed)(number));
  return path;
}
