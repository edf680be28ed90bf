/**
 * npm run fuzz:limits -- [--only 'plan: a pickle'] [--share 1]
 *
 * Runs the whole program over models and targets made to cost as much as they can, and looks at it from outside: peak
 * memory (VmHWM) and processor time, at full size and at half of it; from inside, for how long a signal would have waited.
 * Twice the input may take a little more than twice the time; what takes four times as much is quadratic. Exits with 1
 * where something isn't as docs/security.md says.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { tinyPair, tinyShapes, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";
import { ATTACKS, type Attack, type Command, type Models, remake } from "./hostile-models.js";
import { REPORT_VARIABLE } from "./watch-loop.js";

/** What docs/security.md promises of the process as a whole. */
const MOST_BYTES = 400e6;

/** Of processor time, for which a signal may have to wait: 200, and what V8 takes longer on a busy machine. */
const MOST_WAIT_MS = 300;

/** A run that takes less says nothing of its growth: starting takes as long. */
const LEAST_SECONDS = 2;
/** Between linear, 2, and quadratic, 4. */
const MOST_GROWTH = 3;

/** A result, or an error with a code. */
const EXITS = [0, 1, 3, 4, 5, 6, 7];

const WORDS: Readonly<Record<Command, (models: Models) => string[]>> = {
  plan: ({ base, delta, target }) => ["--base", base, "--delta", delta, "--target", target, "--dry-run"],
  apply: ({ base, delta, target }) => ["--base", base, "--delta", delta, "--target", target],
  verify: ({ delta }) => ["verify", delta],
  compare: ({ base, delta }) => ["compare", base, delta],
  inspect: ({ delta }) => ["inspect", delta],
};

const WATCH = new URL("./watch-loop.js", import.meta.url).href;

const { values } = parseArgs({
  options: { only: { type: "string", default: "" }, share: { type: "string", default: "1" } },
});
const root = mkdtempSync(join(tmpdir(), "vicuna-limits-"));
const models = { base: join(root, "base"), delta: join(root, "delta"), target: join(root, "out") };
const report = join(root, "report");
const pair = tinyPair(1, tinyShapes(64, 8, 1));
let failures = 0;

interface Cost {
  readonly exit: number | null;
  readonly says: string;
  readonly peakBytes: number;
  readonly seconds: number;
  readonly longestWaitMs: number;
}

async function costOf(command: Command, attack: Attack, share: number): Promise<Cost> {
  writeModel(remake(models.base), pair.base);
  writeModel(remake(models.delta), pair.delta);
  rmSync(models.target, { recursive: true, force: true });
  attack(models, share);
  const seen = { peakBytes: 0, seconds: 0 };
  const timers: NodeJS.Timeout[] = [];
  const { code, stdout } = await runCli([...WORDS[command](models), "--json"], {
    nodeOptions: ["--import", WATCH],
    env: { [REPORT_VARIABLE]: report },
    whileRunning: ({ pid }) => timers.push(setInterval(() => Object.assign(seen, stateOf(pid, seen)), 10)),
  });
  timers.forEach(clearInterval);
  const { error } = JSON.parse(stdout === "" ? "{}" : stdout) as { error?: { code: string } };
  const longestWaitMs = Number(readFileSync(report, "utf8"));
  return { exit: code, says: error?.code ?? "a result", longestWaitMs, ...seen };
}

/** As it was last seen: a process that has ended says nothing. */
function stateOf(pid: number | undefined, last: Pick<Cost, "peakBytes" | "seconds">) {
  try {
    const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // proc(5): fields 14 and 15, in hundredths of a second.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return {
      peakBytes: Math.max(last.peakBytes, Number(kilobytes ?? 0) * 1024),
      seconds: (Number(fields[11]) + Number(fields[12])) / 100,
    };
  } catch {
    return last;
  }
}

/** What is refused at full size may be accepted at half of it, and cost more. */
function mostOf(costs: readonly Cost[], what: "peakBytes" | "longestWaitMs"): number {
  return Math.max(...costs.map((cost) => cost[what]));
}

function faultsOf(whole: Cost, half: Cost): string[] {
  const growth = whole.seconds / Math.max(half.seconds, 0.01);
  return [
    ...(EXITS.includes(whole.exit ?? -1) && whole.says !== "bug" ? [] : [`exit ${whole.exit}`]),
    ...(mostOf([whole, half], "peakBytes") > MOST_BYTES ? ["too much memory"] : []),
    ...(mostOf([whole, half], "longestWaitMs") > MOST_WAIT_MS ? ["deaf to signals"] : []),
    ...(whole.seconds > LEAST_SECONDS && growth > MOST_GROWTH ? [`${growth.toFixed(1)} times the time`] : []),
  ];
}

try {
  console.log("| command | reads | says | peak memory | processor time | half of it | a signal waits |");
  console.log("| --- | --- | --- | ---: | ---: | ---: | ---: |");
  for (const { name, command, attack } of ATTACKS) {
    if (!new RegExp(values.only).test(`${command}: ${name}`)) continue;
    const share = Number(values.share);
    const [whole, half] = [await costOf(command, attack, share), await costOf(command, attack, share / 2)];
    const wrong = faultsOf(whole, half);
    failures += wrong.length;
    const cells = [command, name, whole.says, `${Math.round(mostOf([whole, half], "peakBytes") / 1e6)} MB`];
    const times = [whole, half].map(({ seconds }) => `${seconds.toFixed(1)} s`);
    const row = [...cells, ...times, `${Math.round(mostOf([whole, half], "longestWaitMs"))} ms`].join(" | ");
    console.log(`| ${row} |${wrong.length === 0 ? "" : ` WRONG: ${wrong.join(", ")}`}`);
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
if (failures > 0) process.exitCode = 1;
