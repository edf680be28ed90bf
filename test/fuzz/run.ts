/**
 * npm run fuzz -- [--cases N] [--seed N] [--target NAME] [--case N]
 *
 * Prints for each target what its cases came to; exits with 1 where one failed. `--case` runs a single one again.
 */
import { parseArgs } from "node:util";
import { runJobs, type TargetResult } from "./run-jobs.js";
import { TARGETS } from "./targets.js";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    target: { type: "string" },
    case: { type: "string" },
  },
});
const cases = Number(values.cases);
const seed = Number(values.seed);
const wanted = TARGETS.filter(({ name }) => values.target === undefined || name === values.target);
if (wanted.length === 0 || !(cases > 0) || !Number.isInteger(seed)) {
  throw new Error(
    `--cases and --seed are numbers, --target one of ${TARGETS.map(({ name }) => name).join(", ")}`,
  );
}

const shares = wanted.reduce((sum, { share }) => sum + share, 0);
let total = 0;
let failures = 0;
for (const target of wanted) {
  const [first, count] =
    values.case === undefined ? [0, Math.ceil((cases * target.share) / shares)] : [Number(values.case), 1];
  // A process for each, so that memory is the target's own.
  for (const result of await runJobs([{ target: target.name, first, count }], seed)) {
    total += count;
    if (result.failure !== null) failures++;
    console.log(describe(result));
  }
}
console.log(
  `${total} cases, seed ${seed}: ${failures === 0 ? "all ended well" : `${failures} targets FAILED`}`,
);
process.exitCode = failures === 0 ? 0 : 1;

function describe({ job: { target, count }, report, failure }: TargetResult): string {
  const lines = [`${target}: ${count} cases`];
  if (report !== null) {
    const { valid = 0, ...codes } = report.outcomes;
    const errors = Object.entries(codes).sort(([, a], [, b]) => b - a);
    lines.push(`  valid     ${valid}`);
    lines.push(`  errors    ${errors.map(([code, times]) => `${code} ${times}`).join(", ") || "none"}`);
    lines.push(`  slowest   ${report.slowestMs.toFixed(1)} ms of CPU (case ${report.slowestCase})`);
    lines.push(`  memory    ${(report.peakMemoryBytes / 2 ** 20).toFixed(0)} MiB`);
  }
  if (failure !== null) {
    lines.push(`  FAILED    seed ${seed}, case ${failure.number}: ${failure.what}`);
    lines.push(`  input     ${failure.saved}`);
    lines.push(`  again     npm run fuzz -- --seed ${seed} --target ${target} --case ${failure.number}`);
  }
  return lines.join("\n");
}
