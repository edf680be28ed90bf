/**
 * What making a delta reports: the documents that `--json` prints, and the same for people.
 * Pure: values in, values and text out.
 */
import type { ChangeSize } from "../plan/layer-change.js";
import { notAdded } from "../plan/merge-plan.js";
import { describeLost, describeRestoration, type Restoration } from "../plan/restoration.js";
import {
  formatLayout,
  layoutDocument,
  type OutputSummary,
  type PlannedOutput,
  tookLine,
  weightsLines,
} from "./summary.js";
import { plural } from "./units.js";

export interface MakeSummary extends OutputSummary {
  readonly delta: string;
  /** How much the tuning changed, in a sample; null where nothing could be compared. */
  readonly change: ChangeSize | null;
  /** What applying the delta gives, proven element by element. */
  readonly restores: Restoration;
  /** Options that applying needs for every tensor to come back. */
  readonly applyWith: readonly string[];
}

/** The part of a prepared delta that a dry run shows. */
export interface DeltaPlanSummary extends PlannedOutput {
  readonly change: ChangeSize | null;
  readonly applyWith: readonly string[];
}

/** The summary for a terminal. */
export function formatMakeSummary(summary: MakeSummary): string {
  const { restores } = summary;
  const more = restores.tensors - restores.listed.length;
  return [
    summary.delta,
    ...weightsLines(summary),
    ...changeLines(summary),
    `  way back  ${describeRestoration(restores)}`,
    ...restores.listed.map((lost) => `            ${describeLost(lost)}`),
    ...(more > 0 ? [`            and ${plural(more, "more tensor")}`] : []),
    tookLine(summary),
  ].join("\n");
}

/** The plan as a document, for `--dry-run --json`. */
export function deltaPlanDocument(planned: DeltaPlanSummary): object {
  const { target, plan, change, applyWith, warnings } = planned;
  return {
    delta: target,
    dryRun: true,
    ...layoutDocument(planned),
    notSubtracted: notAdded(plan),
    change,
    applyWith,
    warnings,
  };
}

/** The plan for a terminal. */
export function formatDeltaPlan(planned: DeltaPlanSummary): string {
  return formatLayout(planned, { above: [], below: changeLines(planned) });
}

function changeLines({ change, applyWith }: Pick<DeltaPlanSummary, "change" | "applyWith">): string[] {
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
