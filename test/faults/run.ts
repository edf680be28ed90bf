/**
 * npm run faults -- [--kills 50] [--schedules 50] [--seed 1] [--stride 1] [--flips 200]
 *   [--only matrix,limits,kills,parts,flips]
 *   [--kinds EIO,short] [--folder DIR]
 *
 * Everything that can be broken on purpose, broken: a fault at every operation on a file of a small merge, the system's
 * own limits and dying threads, runs that are killed at random moments, bits of
 * a target that flip. Prints tables; exits with 1 where anything was
 * lost, hung, or ended otherwise than it should.
 */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makePair, type Pair } from "../../bench/make-pair.js";
import { FAULT_KINDS } from "./fault-kinds.js";
import { runMatrix, SCENARIOS } from "./fault-matrix.js";
import { flipBits } from "./flips.js";
import { killRuns } from "./kills.js";
import { runSchedules } from "./part-runs.js";
import { tryCommands, tryFullDisk, tryLimits } from "./real-limits.js";
import { makeSmallMerge } from "./small-merge.js";

/** Of the larger pair: 300 MB a side, in shards of 50 MB. */
const PARAMETERS = 150e6;
const SHARD_SIZE = "50MB";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "50" },
    flips: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    stride: { type: "string", default: "1" },
    schedules: { type: "string", default: "50" },
    only: { type: "string", default: "matrix,limits,kills,parts,flips" },
    kinds: { type: "string", default: FAULT_KINDS.map(({ name }) => name).join(",") },
    folder: { type: "string", default: tmpdir() },
  },
});

const root = realpathSync(mkdtempSync(join(values.folder, "vicuna-faults-")));
const parts = values.only.split(",");
let failures = 0;
let pair: Pair | undefined;

try {
  if (parts.includes("matrix")) await faultTable();
  if (parts.includes("limits")) await limitTable();
  if (parts.includes("kills")) await killTable();
  if (parts.includes("parts")) await partTable();
  if (parts.includes("flips")) await flipTable();
} finally {
  rmSync(root, { recursive: true, force: true });
}
if (failures > 0) process.exitCode = 1;

function printRow(cells: readonly (string | number)[]): void {
  console.log(`| ${cells.join(" | ")} |`);
}

/** The last cell of a row; what is wrong goes to stderr. */
function verdict(name: string, wrong: readonly string[]): string {
  failures += wrong.length;
  for (const text of wrong) console.error(`${name}: ${text}`);
  return wrong.length === 0 ? "yes" : `NO (${wrong.length})`;
}

async function faultTable(): Promise<void> {
  const columns = ["runs with a fault", "clean errors", "survived", "made, with a warning", "nothing lost"];
  printRow(["fault", "in the target's place", ...columns]);
  printRow(["---", "---", "---:", "---:", "---:", "---:", "---"]);
  const total = { steps: 0, cleanErrors: 0, survived: 0, warned: 0 };
  await runMatrix(
    {
      root: join(root, "matrix"),
      rows: SCENARIOS.flatMap((scenario) => values.kinds.split(",").map((kind) => ({ kind, scenario }))),
      stride: Number(values.stride),
      first: 1,
      jobs: 4,
    },
    ({ kind, scenario, wrong, ...counts }) => {
      for (const key of ["steps", "cleanErrors", "survived", "warned"] as const) total[key] += counts[key];
      const { steps, cleanErrors, survived, warned } = counts;
      printRow([
        kind,
        scenario,
        steps,
        cleanErrors,
        survived,
        warned,
        verdict(`${kind}, ${scenario}`, wrong),
      ]);
    },
  );
  const whole = failures === 0 ? "yes" : "NO";
  printRow(["all", "", total.steps, total.cleanErrors, total.survived, total.warned, whole]);
}

async function limitTable(): Promise<void> {
  console.log("");
  printRow(["limit", "exit", "what the user reads", "nothing lost"]);
  printRow(["---", "---:", "---", "---"]);
  const { args, bytes } = largePair();
  const trials = [
    ...(await tryLimits(join(root, "limits"))),
    ...(await tryCommands(join(root, "commands"))),
    await tryFullDisk(root, args, bytes),
  ];
  for (const trial of trials) {
    if (trial === null) console.log("(no disk to fill: mounting a tmpfs takes root)");
    else {
      const { name, exit, message, wrong } = trial;
      printRow([name, exit ?? "none", message, verdict(name, wrong === null ? [] : [wrong])]);
    }
  }
}

async function killTable(): Promise<void> {
  const { args } = largePair();
  console.log("");
  printRow([
    "ended by",
    "runs",
    "ended with",
    "runs to the end",
    "shards kept",
    "slowest stop",
    "nothing lost",
  ]);
  printRow(["---", "---:", "---", "---:", "---:", "---:", "---"]);
  const options = { root, args, kills: Number(values.kills), seed: Number(values.seed) };
  await killRuns(options, ({ name, ended, outcomes, completed, keptShards, slowestMs, wrong }) => {
    const shown = [...outcomes].map(([outcome, count]) => `${outcome}: ${count}`).join(", ");
    const slowest = `${Math.round(slowestMs)} ms`;
    printRow([name, ended, shown, completed, keptShards, slowest, verdict(name, wrong)]);
  });
}

async function partTable(): Promise<void> {
  console.log("");
  const columns = [
    "parts",
    "runs",
    "killed",
    "had to wait",
    "completed by finish",
    "one target, whole, equal",
  ];
  printRow(["schedules", ...columns]);
  printRow(["---:", "---:", "---:", "---:", "---:", "---:", "---"]);
  const merge = makeSmallMerge(join(root, "parts"));
  const row = await runSchedules(merge, Number(values.schedules), values.seed);
  const { schedules, parts: count, runs, killed, busy, finished, wrong } = row;
  printRow([schedules, count, runs, killed, busy, finished, verdict("parts", wrong)]);
}

async function flipTable(): Promise<void> {
  console.log("");
  printRow(["format", "verified by", "one bit of", "flips", "seen by", "all seen"]);
  printRow(["---", "---", "---", "---:", "---", "---"]);
  const options = { root: join(root, "flips"), flips: Number(values.flips), seed: Number(values.seed) };
  await flipBits(options, ({ format, by, files, flips, seenBy, wrong }) => {
    const shown = [...seenBy].map(([check, count]) => `${check}: ${count}`).join(", ");
    printRow([format, by, files, flips, shown, verdict(`flips, ${format}, ${by}`, wrong)]);
  });
}

/** Made once; the words of a merge but for its target. */
function largePair(): { args: string[]; bytes: number } {
  pair ??= makePair(join(root, "pair"), PARAMETERS, 3);
  const args = ["--base", pair.base, "--delta", pair.delta, "--max-shard-size", SHARD_SIZE];
  return { args, bytes: pair.bytes };
}
