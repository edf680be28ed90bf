/**
 * npm run fuzz:limits -- [--only WORD]
 *
 * Runs the whole program over models made to cost as much as they can, and looks at it from outside: peak memory
 * (VmHWM) and processor time, at full size and at half of it. Twice the input may take a little more than twice the time;
 * what takes four times as much is quadratic. Exits with 1 where something isn't as docs/security.md says.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { tinyPair, tinyShapes, writeModel } from "../support/model-folder.js";
import { runCli } from "../support/run-cli.js";
import { ATTACKS, type Attack, remake } from "./hostile-models.js";

/** What docs/security.md promises of the process as a whole. */
const MOST_BYTES = 400e6;

/** A run that takes less says nothing of its growth: starting takes as long. */
const LEAST_SECONDS = 2;
/** Between linear, 2, and quadratic, 4. */
const MOST_GROWTH = 3;

/** Errors with a code, or a plan. */
const EXITS = [0, 3, 4, 5];

const { values } = parseArgs({ options: { only: { type: "string", default: "" } } });
const root = mkdtempSync(join(tmpdir(), "vicuna-limits-"));
const pair = tinyPair(1, tinyShapes(16, 8, 1));
const base = writeModel(join(root, "base"), pair.base);
let failures = 0;

interface Cost {
  readonly exit: number | null;
  readonly says: string;
  readonly peakBytes: number;
  readonly seconds: number;
}

async function costOf(attack: Attack, share: number): Promise<Cost> {
  const delta = writeModel(remake(join(root, "delta")), pair.delta);
  attack(delta, share);
  const seen = { peakBytes: 0, seconds: 0 };
  const args = ["--base", base, "--delta", delta, "--target", join(root, "out"), "--dry-run", "--json"];
  const timers: NodeJS.Timeout[] = [];
  const { code, stdout } = await runCli(args, {
    whileRunning: ({ pid }) => timers.push(setInterval(() => Object.assign(seen, stateOf(pid, seen)), 10)),
  });
  timers.forEach(clearInterval);
  const { error } = JSON.parse(stdout === "" ? "{}" : stdout) as { error?: { code: string } };
  return { exit: code, says: error?.code ?? "a plan", ...seen };
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

try {
  console.log(
    "| model | says | peak memory | processor time | half of it |\n| --- | --- | ---: | ---: | ---: |",
  );
  for (const [name, attack] of Object.entries(ATTACKS)) {
    if (!name.includes(values.only)) continue;
    const [whole, half] = [await costOf(attack, 1), await costOf(attack, 0.5)];
    const growth = whole.seconds / Math.max(half.seconds, 0.01);
    const wrong = [
      ...(EXITS.includes(whole.exit ?? -1) ? [] : [`exit ${whole.exit}`]),
      ...(whole.peakBytes > MOST_BYTES ? ["too much memory"] : []),
      ...(whole.seconds > LEAST_SECONDS && growth > MOST_GROWTH
        ? [`${growth.toFixed(1)} times the time`]
        : []),
    ];
    failures += wrong.length;
    const cells = [name, whole.says, `${Math.round(whole.peakBytes / 1e6)} MB`];
    const times = [`${whole.seconds.toFixed(1)} s`, `${half.seconds.toFixed(1)} s`];
    console.log(
      `| ${[...cells, ...times].join(" | ")} |${wrong.length === 0 ? "" : ` WRONG: ${wrong.join(", ")}`}`,
    );
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
if (failures > 0) process.exitCode = 1;
