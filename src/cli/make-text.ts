import type { DeltaPlanDocument, MakeSummary } from "../make/documents.js";
import { describeLost, describeRestoration } from "../make/restoration.js";
import { printable } from "../printable.js";
import { plural } from "../units.js";
import { formatLayout, tookLine, weightsLines } from "./output-text.js";
import { type Palette, PLAIN } from "./terminal.js";

/** The summary for a terminal. */
export function formatMakeSummary(summary: MakeSummary, paint: Palette = PLAIN): string {
  const { restores } = summary;
  const more = restores.tensors - restores.listed.length;
  return [
    paint.strong(printable(summary.delta)),
    ...weightsLines(summary),
    ...changeLines(summary),
    `  way back  ${(restores.isExact ? paint.good : paint.warning)(describeRestoration(restores))}`,
    ...restores.listed.map((lost) => `            ${describeLost(lost)}`),
    ...(more > 0 ? [`            and ${plural(more, "more tensor")}`] : []),
    tookLine(summary),
  ].join("\n");
}

/** The plan for a terminal. */
export function formatDeltaPlan(document: DeltaPlanDocument, paint: Palette = PLAIN): string {
  const { delta, notSubtracted } = document;
  return formatLayout(document, {
    target: delta,
    others: notSubtracted,
    above: [],
    below: changeLines(document).map(printable),
    paint,
  });
}

function changeLines({ change, applyWith }: Pick<DeltaPlanDocument, "change" | "applyWith">): string[] {
  const share = change?.ratio ?? null;
  return [
    ...(share === null ? [] : [`  change    ${formatShare(share)} of the base's weights (rms)`]),
    ...(applyWith.length === 0 ? [] : [`  to apply  add ${applyWith.join(" ")}`]),
  ];
}

/** `5.0%`, `0.012%`, `0%`, `2006%`. */
function formatShare(share: number): string {
  const percent = 100 * share;
  return `${percent === 0 || percent >= 100 ? percent.toFixed(0) : percent.toPrecision(2)}%`;
}
