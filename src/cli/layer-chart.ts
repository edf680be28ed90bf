/** The size of a change by layer as a small chart for a terminal. */
import type { ChangeSize, LayerChange, PartChange } from "../base-check/documents.js";

const DEFAULT_WIDTH = 80;

const NARROWEST_BAR = 8;

/** Eighths of a character cell, from none to seven; a whole one is `█`. */
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** `embed`, `layer 12`, `norm`, `head`. */
export function partLabel({ part, layer }: PartChange): string {
  return layer === null ? part : `${part} ${layer}`;
}

export function chartTitle({ comparedAs }: Pick<LayerChange, "comparedAs">): string {
  const change = comparedAs === "delta" ? "delta" : "model - base";
  return `Size of the change: rms of ${change} over rms of base`;
}

/** Ratios as percent, all with the same number of decimals: three significant digits for the largest. */
export function percentFormat(sizes: readonly ChangeSize[]): (ratio: number | null) => string {
  const largest = 100 * largestRatio(sizes);
  const decimals = largest === 0 ? 0 : Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(largest))));
  return (ratio) => (ratio === null ? "-" : `${(100 * ratio).toFixed(decimals)}%`);
}

/** 0 where there is none. */
export function largestRatio(sizes: readonly ChangeSize[]): number {
  return sizes.reduce((largest, { ratio }) => Math.max(largest, ratio ?? 0), 0);
}

/** One row a part: name, percent, bar. The longest bar is the largest change. */
export function formatLayerChart(change: LayerChange, width = DEFAULT_WIDTH): string {
  const percent = percentFormat(change.parts);
  const largest = largestRatio(change.parts);
  const rows = change.parts.map((part) => ({
    label: partLabel(part),
    value: percent(part.ratio),
    share: largest === 0 ? 0 : (part.ratio ?? 0) / largest,
  }));
  // No spread into Math.max: names choose how many parts there are.
  const widestOf = (lengthOf: (row: (typeof rows)[number]) => number) =>
    rows.reduce((widest, row) => Math.max(widest, lengthOf(row)), 0);
  const valueWidth = widestOf(({ value }) => value.length);
  const widest = widestOf(({ label }) => label.length);
  const labelWidth = Math.min(widest, Math.max(1, width - valueWidth - NARROWEST_BAR - 4));
  const barWidth = Math.max(1, width - labelWidth - valueWidth - 4);
  const lines = rows.map(({ label, value, share }) => {
    const name = shorten(label, labelWidth).padEnd(labelWidth);
    return `${name}  ${value.padStart(valueWidth)}  ${bar(share, barWidth)}`.trimEnd();
  });
  return [chartTitle(change), ...lines].join("\n");
}

/** A change that is not nothing shows at least the thinnest bar. */
function bar(share: number, cells: number): string {
  const eighths = share === 0 ? 0 : Math.max(1, Math.round(share * cells * 8));
  return "█".repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? "");
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `…${text.slice(text.length - length + 1)}`;
}
