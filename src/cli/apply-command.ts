/** `vicuna-apply-delta --base … --delta … --target …`: the program's own action. */
import type { Command } from "commander";
import type { MergePlanDocument, MergeSummary, PartSummary } from "../apply/documents.js";
import { partOptions } from "../apply/options.js";
import type { BaseCheck } from "../base-check/documents.js";
import { type ApplyDeltaOptions, applyDelta, applyPart, planMerge } from "../index.js";
import { printable } from "../printable.js";
import { formatExact, formatSeconds, plural } from "../units.js";
import { environment } from "./environment.js";
import { defineFolderCommand } from "./folder-command.js";
import { setHelpPage } from "./help.js";
import { addFlag, addLibraryOptions } from "./library-options.js";
import { formatLayout, tookLine, weightsLines } from "./output-text.js";
import { readPartWord } from "./part-word.js";
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
  addLibraryOptions(program, partOptions.partial({ part: true }));
  addFlag(program, "From FastChat", "--low-cpu-mem", "do nothing: memory use is always low");
  defineFolderCommand<ApplyCall, MergePlanDocument, MergeSummary | PartSummary>(program, {
    folder: "target",
    plan: ({ part: _, ...call }) => planMerge(call),
    formatPlan,
    make: ({ part, ...call }) =>
      part === undefined ? applyDelta(call) : applyPart({ ...call, part: readPartWord(part, environment()) }),
    isComplete: (made) => !("merge" in made) || made.merge !== null,
    formatMade: (made, paint) => ("merge" in made ? formatPart(made, paint) : formatSummary(made, paint)),
  });
}

const MADE_LINES = [
  "  done      already: the same merge made it, and nothing was written now",
  "  compared  with its record: files and headers of base and delta, the base check's sample, options, version",
];

type ApplyCall = ApplyDeltaOptions & { readonly part?: string };

/** What a run of one part did, or of `finish`. */
export function formatPart(summary: PartSummary, paint: Palette): string {
  const { target, part, shards, shardsDone, shardsTotal, published, merge, seconds } = summary;
  if (merge !== null) return formatSummary(merge, paint);
  const state = published ? "complete" : `${shardsDone} of ${plural(shardsTotal, "shard")} made by all parts`;
  return [
    paint.strong(printable(target)),
    ...linesIf(part !== null, `  part      ${part}: ${plural(shards.length, "shard")} made`),
    `  target    ${state}`,
    `  took      ${formatSeconds(seconds)}`,
  ].join("\n");
}

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
