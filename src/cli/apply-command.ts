/** `vicuna-apply-delta --base … --delta … --target …`: the program's own action. */
import type { Command } from "commander";
import type { MergePlanDocument, MergeSummary } from "../apply/documents.js";
import { applyOptions } from "../apply/options.js";
import type { BaseCheck } from "../base-check/documents.js";
import { type ApplyDeltaOptions, applyDelta, planMerge } from "../index.js";
import { printable } from "../printable.js";
import { formatExact } from "../units.js";
import { defineFolderCommand } from "./folder-command.js";
import { setHelpPage } from "./help.js";
import { addFlag, addLibraryOptions } from "./library-options.js";
import { formatLayout, tookLine, weightsLines } from "./output-text.js";
import { linesIf, type Palette } from "./terminal.js";

const EXAMPLES = [
  "vicuna-apply-delta -b llama-7b -d vicuna-7b-delta-v1.1 -o vicuna-7b",
  "vicuna-apply-delta -b huggyllama/llama-7b -d lmsys/vicuna-7b-delta-v1.1 -o out",
  "vicuna-apply-delta verify vicuna-7b",
  "vicuna-apply-delta --base llama-7b --delta vicuna-7b-delta-v1.1 --target vicuna-7b --dry-run",
  "vicuna-apply-delta --base llama-13b --delta delta.bin --target out --dtype bfloat16 --max-shard-size 2GB --json",
];

export function defineCommand(program: Command): void {
  setHelpPage(program, { examples: EXAMPLES });
  addLibraryOptions(program, applyOptions);
  addFlag(program, "From FastChat", "--low-cpu-mem", "do nothing: memory use is always low");
  defineFolderCommand<ApplyDeltaOptions, MergePlanDocument, MergeSummary>(program, {
    folder: "target",
    plan: planMerge,
    formatPlan,
    make: applyDelta,
    formatMade: formatSummary,
  });
}

const MADE_LINES = [
  "  done      already: the same merge made it, and nothing was written now",
  "  compared  with its record: files and headers of base and delta, the base check's sample, options, version",
];

function formatSummary(summary: MergeSummary, paint: Palette): string {
  return [
    paint.strong(printable(summary.target)),
    ...linesIf(summary.alreadyMade, ...MADE_LINES),
    ...releaseLines(summary),
    ...weightsLines(summary),
    ...baseLines(summary.baseCheck, paint, summary.counted.sums),
    ...linesIf(
      summary.alreadyMade && !summary.verified,
      "  unread    the bytes of the weights: `verify` reads them",
    ),
    ...linesIf(
      summary.verified,
      "  verified  read back from the disk: what base and delta give, bit for bit",
    ),
    ...linesIf(!summary.alreadyMade, tookLine(summary)),
  ].join("\n");
}

function formatPlan(plan: MergePlanDocument, paint: Palette): string {
  return formatLayout(plan, {
    target: plan.target,
    others: plan.notAdded,
    above: releaseLines(plan),
    below: baseLines(plan.baseCheck, paint),
    paint,
  });
}

function releaseLines({ release, scale }: Pick<MergeSummary, "release" | "scale">): readonly string[] {
  return [
    ...linesIf(release !== null, printable(`  release   ${release}`)),
    ...linesIf(scale !== 1, `  scale     target = base + ${scale} * delta`),
  ];
}

/** `counted`: the sums a merge counted, which prove more than the sample of the base check. */
function baseLines(baseCheck: BaseCheck | null, paint: Palette, counted = 0): string[] {
  if (baseCheck === null) return [];
  const isExact = baseCheck.verdict === "exact";
  const proven = `exact: all ${formatExact(counted)} sums checked`;
  const sentence = isExact && counted > 0 ? proven : printable(baseCheck.sentence);
  return [`  check     ${isExact ? paint.good(sentence) : sentence}`];
}
