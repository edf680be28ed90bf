/** What a merge reports, as text for a terminal. */

import type { MergePlanDocument, MergeSummary } from "../apply/documents.js";
import type { BaseCheck } from "../base-check/documents.js";
import { printable } from "../printable.js";
import { formatExact } from "../units.js";
import { formatLayout, tookLine, weightsLines } from "./output-text.js";
import { type Palette, PLAIN } from "./terminal.js";

function scaleText(scale: number): string {
  return `target = base + ${scale} * delta`;
}

/** The summary for a terminal. */
export function formatSummary(summary: MergeSummary, paint: Palette = PLAIN): string {
  return [
    paint.strong(printable(summary.target)),
    ...(summary.release === null ? [] : [`  release   ${summary.release}`]),
    ...(summary.scale === 1 ? [] : [`  scale     ${scaleText(summary.scale)}`]),
    ...weightsLines(summary),
    ...baseLines(summary.baseCheck, paint, summary.counted.sums),
    ...(summary.verified
      ? ["  verified  read back from the disk: what base and delta give, bit for bit"]
      : []),
    tookLine(summary),
  ].join("\n");
}

/** The plan for a terminal. */
export function formatPlan(document: MergePlanDocument, paint: Palette = PLAIN): string {
  const { target, release, scale, notAdded: others, baseCheck } = document;
  return formatLayout(document, {
    target,
    others,
    above: [
      ...(release === null ? [] : [printable(`  release   ${release}`)]),
      ...(scale === 1 ? [] : [`  scale     ${scaleText(scale)}`]),
    ],
    below: baseLines(baseCheck, paint),
    paint,
  });
}

/** `counted`: sums that a merge counted; 0 before it. */
function baseLines(baseCheck: BaseCheck | null, paint: Palette, counted = 0): string[] {
  if (baseCheck === null) return [];
  const isExact = baseCheck.verdict === "exact";
  const proven =
    isExact && counted > 0 ? `exact: all ${formatExact(counted)} sums checked` : baseCheck.sentence;
  return [`  base      ${isExact ? paint.good(printable(proven)) : printable(proven)}`];
}
