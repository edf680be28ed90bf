/**
 * What making a delta reports: the documents that `--json` prints, and the same for people.
 * Pure: values in, values and text out.
 */

import type { ChangeSize } from "../plan/layer-change.js";
import { type NotAdded, notAdded } from "../plan/merge-plan.js";
import { describeLost, describeRestoration, type Restoration } from "../plan/restoration.js";
import { printable } from "../printable.js";
import {
  formatLayout,
  type LayoutDocument,
  layoutDocument,
  type OutputSummary,
  type PlannedOutput,
  tookLine,
  weightsLines,
} from "./summary.js";
import { type Palette, PLAIN } from "./terminal.js";
import { plural } from "./units.js";

/** What making a delta made: what `make` prints with `--json`. */
export interface MakeSummary extends OutputSummary {
  /** The real path of the folder. */
  readonly delta: string;
  /** How much the tuning changed, in a sample; null where nothing could be compared. */
  readonly change: ChangeSize | null;
  /** What applying the delta gives, proven element by element. */
  readonly restores: Restoration;
  /** Options of the command line that applying needs for every tensor to come back. */
  readonly applyWith: readonly string[];
}

/** The part of a prepared delta that a dry run shows. */
export interface DeltaPlanSummary extends PlannedOutput {
  readonly target: string;
  readonly change: ChangeSize | null;
  readonly applyWith: readonly string[];
  readonly warnings: readonly string[];
}

/** What making a delta would do: what `make --dry-run` prints. */
export interface DeltaPlanDocument extends LayoutDocument {
  /** The real path of the folder to make. */
  readonly delta: string;
  /** Tells it from a summary. */
  readonly dryRun: true;
  /** Every tensor that won't simply be subtracted, with the reason. */
  readonly notSubtracted: readonly NotAdded[];
  /** How much the tuning changed, in a sample; null where nothing could be compared. */
  readonly change: ChangeSize | null;
  /** Options of the command line that applying will need for every tensor to come back. */
  readonly applyWith: readonly string[];
  /** What may be wrong, a sentence each. */
  readonly warnings: readonly string[];
}

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

/** The plan as a document, for `--dry-run --json`. */
export function deltaPlanDocument(planned: DeltaPlanSummary): DeltaPlanDocument {
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
