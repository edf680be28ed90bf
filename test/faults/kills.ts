/**
 * Runs of a larger merge that are killed or stopped at random moments, and run again until one comes to its end.
 * In: a pair, how often. Out: counts, and every moment at which something was lost.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MergeSummary } from "../../src/apply/documents.js";
import { type CliResult, runCli } from "../support/run-cli.js";

/** How a run is ended, and what is in the target's place at its start. */
export const ENDINGS = [
  { name: "SIGKILL", signals: ["SIGKILL"], overwrite: false, share: 1 },
  { name: "SIGKILL, with an old target", signals: ["SIGKILL"], overwrite: true, share: 0.5 },
  { name: "SIGINT", signals: ["SIGINT"], overwrite: false, share: 0.3 },
  { name: "SIGTERM", signals: ["SIGTERM"], overwrite: false, share: 0.3 },
  { name: "SIGINT twice", signals: ["SIGINT", "SIGINT"], overwrite: false, share: 0.3 },
] as const;

type Ending = (typeof ENDINGS)[number];

export interface KillRow {
  readonly name: string;
  /** Runs that were ended. */
  ended: number;
  /** Of these: with what exit codes or signals. */
  readonly outcomes: Map<string, number>;
  /** Runs that came to their end. */
  completed: number;
  /** Shards that those didn't have to make again. */
  keptShards: number;
  /** From the signal to the end of the process. */
  slowestMs: number;
  readonly wrong: string[];
}

export interface KillOptions {
  readonly root: string;
  readonly args: readonly string[];
  /** Runs to end by SIGKILL; the other ways get their share. */
  readonly kills: number;
  readonly seed: number;
}

/** Ends runs in each of the ways; a row for each. */
export async function killRuns(options: KillOptions, onRow: (row: KillRow) => void): Promise<void> {
  const out = join(options.root, "out");
  mkdirSync(out, { recursive: true });
  const target = join(out, "target");
  const args = [...options.args, "--target", target, "--json", "--no-progress"];
  const start = performance.now();
  const undisturbed = await runCli(args);
  if (undisturbed.code !== 0) throw new Error(`the merge itself fails: ${undisturbed.stderr}`);
  const place = { out, target, args, whole: digests(target), usualMs: performance.now() - start };
  const random = seededRandom(options.seed);
  for (const ending of ENDINGS) {
    const count = Math.ceil(options.kills * ending.share);
    onRow(await killRow(place, ending, count, random));
  }
}

interface Place {
  readonly out: string;
  readonly target: string;
  readonly args: readonly string[];
  readonly whole: string;
  /** How long a run takes. */
  readonly usualMs: number;
}

async function killRow(place: Place, ending: Ending, count: number, random: () => number): Promise<KillRow> {
  const { name, overwrite } = ending;
  const row: KillRow = {
    ...{ name, ended: 0, outcomes: new Map(), completed: 0, keptShards: 0, slowestMs: 0, wrong: [] },
  };
  const args = [...place.args, ...(overwrite ? ["--overwrite"] : [])];
  while (row.ended < count) {
    clear(place.out);
    if (overwrite) makeOldTarget(place.target);
    const old = overwrite ? digests(place.target) : null;
    for (let isDone = false; !isDone && row.ended < count; ) {
      // Every fourth in the moment in which the target's place changes.
      const afterMs = random() < 0.25 ? null : random() * place.usualMs * 1.1;
      const { result, isEnded, tookMs } = await runAndEnd(place, args, ending, afterMs);
      isDone = result.code === 0;
      if (isEnded && !isDone) {
        row.ended++;
        row.slowestMs = Math.max(row.slowestMs, tookMs);
        const outcome = result.signal ?? `exit ${result.code}`;
        row.outcomes.set(outcome, (row.outcomes.get(outcome) ?? 0) + 1);
      } else if (!isDone) row.wrong.push(`exit ${result.code}: ${result.stderr}`);
      const lost = whatIsLost(place, old);
      if (lost !== null) row.wrong.push(`after ${result.signal ?? result.code}: ${lost}`);
      if (isDone) {
        row.completed++;
        row.keptShards += keptShards(result);
      }
      // Ended after its last step: there is nothing left to do.
      isDone ||= isTidy(place);
    }
    row.wrong.push(...(await finish(place, args, row)));
  }
  return row;
}

/** The run that isn't disturbed any more. */
async function finish(place: Place, args: readonly string[], row: KillRow): Promise<string[]> {
  if (!isTidy(place)) {
    const result = await runCli(args);
    if (result.code !== 0) return [`the last run fails: ${result.stderr}`];
    row.completed++;
    row.keptShards += keptShards(result);
  }
  return isTidy(place) ? [] : [`at the end: ${readdirSync(place.out)}, ${readdirSync(place.target)}`];
}

/** The new target is there, whole, and nothing else. */
function isTidy({ out, target, whole }: Place): boolean {
  if (!existsSync(target) || readdirSync(out).length > 1) return false;
  return digests(target) === whole && !readdirSync(target).some((name) => name.startsWith("."));
}

async function runAndEnd(place: Place, args: readonly string[], { signals }: Ending, afterMs: number | null) {
  let endedAt: number | null = null;
  const timers: NodeJS.Timeout[] = [];
  const result = await runCli(args, {
    whileRunning(child) {
      const end = () => {
        endedAt = performance.now();
        child.kill(signals[0]);
        if (signals.length > 1) timers.push(setTimeout(() => child.kill(signals[1]), 5));
      };
      if (afterMs !== null) timers.push(setTimeout(end, afterMs));
      else timers.push(onceChanged(place, end));
    },
  });
  const tookMs = endedAt === null ? 0 : performance.now() - endedAt;
  timers.forEach(clearInterval);
  return { result, isEnded: endedAt !== null, tookMs };
}

/** Looks at the folder as often as it can: between two renames there is little time. */
function onceChanged({ out, target }: Place, callback: () => void): NodeJS.Timeout {
  const hadTarget = existsSync(target);
  const timer = setInterval(() => {
    const names = readdirSync(out);
    const isChanged =
      names.includes("target") !== hadTarget || names.some((name) => name.includes("replaced"));
    if (!isChanged) return;
    clearInterval(timer);
    callback();
  }, 1);
  return timer;
}

/** At any moment: no target or a whole one; the old one in its place or beside it. Null where nothing is lost. */
function whatIsLost({ out, target, whole }: Place, old: string | null): string | null {
  if (existsSync(target)) {
    const now = digests(target);
    return now === whole || now === old ? null : "the target is neither the old nor the new one, whole";
  }
  if (old === null) return null;
  const aside = readdirSync(out).find((name) => name.startsWith("target.replaced-"));
  return aside !== undefined && digests(join(out, aside)) === old ? null : "the old target is gone";
}

function keptShards({ stdout }: CliResult): number {
  return (JSON.parse(stdout) as MergeSummary).keptShards.length;
}

/** One digest of a folder's names and bytes; what our runs hide in it doesn't count. */
function digests(folder: string): string {
  const files = readdirSync(folder).filter((name) => !name.startsWith(".vicuna-apply-delta"));
  const lines = files.sort().map((name) => {
    const bytes = readFileSync(join(folder, name));
    return `${name} ${createHash("sha256").update(bytes).digest("hex")}`;
  });
  return lines.join("\n");
}

function makeOldTarget(target: string): void {
  mkdirSync(target);
  writeFileSync(join(target, "config.json"), "the old one");
  // Removing it takes a while.
  for (let i = 0; i < 500; i++) writeFileSync(join(target, `old-${i}`), "");
}

function clear(folder: string): void {
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
}

/** Numbers from 0 to 1 (a linear congruential generator, Numerical Recipes). */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}
