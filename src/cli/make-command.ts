/** `vicuna-apply-delta make --base … --tuned … --delta …`: the delta of a model and the base it was tuned from. */
import type { Command } from "commander";
import { EXIT } from "../errors.js";
import {
  type DeltaPlanDocument,
  type MakeDeltaOptions,
  type MakeSummary,
  makeDelta,
  planDelta,
  type Restoration,
} from "../index.js";
import { makeOptions } from "../make/options.js";
import { printable } from "../printable.js";
import { formatExact, plural } from "../units.js";
import { defineFolderCommand } from "./folder-command.js";
import { type HelpPage, setHelpPage } from "./help.js";
import { addLibraryOptions } from "./library-options.js";
import { formatLayout, tookLine, weightsLines } from "./output-text.js";
import type { Palette } from "./terminal.js";

const PAGE: HelpPage = {
  examples: [
    "vicuna-apply-delta make --base llama-7b --tuned my-vicuna-7b --delta my-vicuna-7b-delta",
    "vicuna-apply-delta --base llama-7b --delta my-vicuna-7b-delta --target my-vicuna-7b",
  ],
  notes: `The delta has the tuned model's dtype. Whoever has the base gets the tuned model back with the second command.

Exit codes are those of vicuna-apply-delta; ${EXIT.verification} also if --exact can't be met.`,
};

export function defineCommand(command: Command): void {
  setHelpPage(command, PAGE);
  addLibraryOptions(command, makeOptions);
  defineFolderCommand<MakeDeltaOptions, DeltaPlanDocument, MakeSummary>(command, {
    folder: "delta",
    plan: planDelta,
    formatPlan,
    make: makeDelta,
    formatMade: formatSummary,
  });
}

function formatSummary(summary: MakeSummary, paint: Palette): string {
  return [
    paint.strong(printable(summary.delta)),
    ...weightsLines(summary),
    ...changeLines(summary),
    ...wayBackLines(summary.restores, paint),
    tookLine(summary),
  ].join("\n");
}

function formatPlan(plan: DeltaPlanDocument, paint: Palette): string {
  return formatLayout(plan, {
    target: plan.delta,
    others: plan.notSubtracted,
    above: [],
    below: changeLines(plan).map(printable),
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

function wayBackLines(restores: Restoration, paint: Palette): string[] {
  const { isExact, elements, lost, zeroSigns, tensors, listed } = restores;
  if (isExact) return [`  way back  ${paint.good("exact: applying it gives the tuned model, bit for bit")}`];
  const zeros = zeroSigns === 0 ? "" : `, ${formatExact(zeroSigns)} of them only in the sign of a zero`;
  const rounded = `rounded: ${formatExact(lost)} of ${formatExact(elements)} elements differ${zeros}`;
  const more = tensors - listed.length;
  return [
    `  way back  ${paint.warning(rounded)}`,
    ...listed.map(
      ({ tensor, elements, first }) =>
        `            ${tensor}: ${plural(elements, "element")}, the first at position ${first}`,
    ),
    ...(more > 0 ? [`            and ${plural(more, "more tensor")}`] : []),
  ];
}
