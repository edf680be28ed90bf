/**
 * The size of a change by layer and by kind of module as an SVG. Colours are of middle lightness and there is no
 * background, so it reads on light and on dark pages.
 */
import type { ChangeSize, LayerChange } from "../base-check/documents.js";
import { chartTitle, largestRatio, partLabel, percentFormat } from "./layer-chart.js";

/** All lengths are in SVG user units, pixels at the picture's own size. */
const WIDTH = 960;
const MARGIN = { left: 64, right: 24 };
const TITLE_AT = 28;
const SUBTITLE_AT = 48;
const PLOT_TOP = 76;
const PLOT_HEIGHT = 260;
const KINDS_GAP = 92;
const KIND_ROW = 24;
const KIND_LABEL_WIDTH = 190;
const KIND_VALUE_WIDTH = 70;
const FONT = 12;

const INK = "#6e7781";
const LAYER_COLOUR = "#3f83c9";
/** Parts that aren't layers: embedding and head. */
const OTHER_COLOUR = "#c9782f";

/** At most so many gridlines and labels below the bars. */
const MOST_TICKS = 6;
const MOST_LABELS = 20;

/** More parts than this that aren't layers mean a model of another kind: their names are left to the tooltips. */
const MOST_OTHER_LABELS = 6;

/** A slot below this takes no word beside its neighbours' numbers; the word goes a line down. */
const WORD_WIDTH = 46;

/** Kinds outside the layers. */
const OTHER_KINDS = new Set(["embed_tokens", "lm_head"]);

export function renderLayerPlot(change: LayerChange): string {
  const title = chartTitle(change);
  const plotBottom = PLOT_TOP + PLOT_HEIGHT;
  const kindsTop = plotBottom + KINDS_GAP;
  const height = kindsTop + change.kinds.length * KIND_ROW + 16;
  const percent = percentFormat([change.overall, ...change.parts]);
  const subtitle = `${percent(change.overall.ratio)} over all matrices`;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="${FONT}" fill="${INK}">`,
    `<title>${escapeXml(title)}</title>`,
    text(MARGIN.left, TITLE_AT, title, 'font-size="17" font-weight="600"'),
    text(MARGIN.left, SUBTITLE_AT, subtitle),
    ...layerBars(change, plotBottom),
    text(MARGIN.left, kindsTop - 14, "By kind of module", 'font-size="14" font-weight="600"'),
    ...kindBars(change, kindsTop),
    "</svg>",
  ].join("\n")}\n`;
}

/** Upright bars: the parts from left to right, the size upwards. */
function layerBars({ parts }: LayerChange, bottom: number): string[] {
  const { step, top, label } = axisFor(parts);
  const innerWidth = WIDTH - MARGIN.left - MARGIN.right;
  const slot = innerWidth / parts.length;
  const barWidth = Math.min(48, slot * 0.76);
  const upTo = (ratio: number) => bottom - (PLOT_HEIGHT * ratio) / top;
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step);
  const layers = parts.filter(({ layer }) => layer !== null).length;
  const every = niceStep(layers / MOST_LABELS, 1);
  const percent = percentFormat(parts);
  return [
    ...ticks.flatMap((tick) => [
      line(MARGIN.left, upTo(tick), WIDTH - MARGIN.right, upTo(tick), tick === 0 ? 0.9 : 0.25),
      text(MARGIN.left - 8, upTo(tick) + FONT / 3, label(tick), 'text-anchor="end"'),
    ]),
    ...parts.flatMap((part, i) => {
      const middle = MARGIN.left + slot * (i + 0.5);
      const isLayer = part.layer !== null;
      const y = upTo(part.ratio ?? 0);
      const tip = `${partLabel(part)}: ${percent(part.ratio)}`;
      const box = rect(middle - barWidth / 2, y, barWidth, bottom - y, isLayer, tip);
      const isLabelled = isLayer
        ? (part.layer ?? 0) % every === 0
        : parts.length - layers <= MOST_OTHER_LABELS;
      const below = bottom + (isLayer || slot >= WORD_WIDTH ? 18 : 34);
      const label = isLayer ? `${part.layer}` : part.part;
      return isLabelled ? [box, text(middle, below, label, 'text-anchor="middle"')] : [box];
    }),
    ...(layers === 0
      ? []
      : [text(MARGIN.left + innerWidth / 2, bottom + 44, "layer", 'text-anchor="middle"')]),
  ];
}

/** Bars to the right, a row for each kind. */
function kindBars({ kinds }: LayerChange, top: number): string[] {
  const largest = largestRatio(kinds);
  const left = MARGIN.left + KIND_LABEL_WIDTH;
  const room = WIDTH - MARGIN.right - KIND_VALUE_WIDTH - left;
  const percent = percentFormat(kinds);
  return kinds.flatMap((size, i) => {
    const y = top + i * KIND_ROW;
    const width = largest === 0 ? 0 : (room * (size.ratio ?? 0)) / largest;
    const value = percent(size.ratio);
    return [
      text(left - 10, y + KIND_ROW / 2 + FONT / 3, size.kind, 'text-anchor="end"'),
      rect(left, y + 4, width, KIND_ROW - 8, !OTHER_KINDS.has(size.kind), `${size.kind}: ${value}`),
      text(left + width + 8, y + KIND_ROW / 2 + FONT / 3, value),
    ];
  });
}

/** Gridlines at round values of percent up to the first above the largest. */
function axisFor(sizes: readonly ChangeSize[]): {
  step: number;
  top: number;
  label: (ratio: number) => string;
} {
  const largest = largestRatio(sizes);
  const step = largest === 0 ? 0.01 : niceStep(largest / MOST_TICKS, 0);
  const top = Math.max(1, Math.ceil(largest / step - 1e-9)) * step;
  const decimals = Math.min(8, Math.max(0, -Math.floor(Math.log10(step * 100) + 1e-9)));
  return { step, top, label: (ratio) => `${(ratio * 100).toFixed(decimals)}%` };
}

/** The first of 1, 2, 5, 10, 20, … times a power of ten that is not below `least` nor `floor`. */
function niceStep(least: number, floor: number): number {
  const wanted = Math.max(least, floor);
  const power = 10 ** Math.floor(Math.log10(wanted) + 1e-9);
  return ([1, 2, 5, 10].find((factor) => factor * power >= wanted * (1 - 1e-9)) ?? 10) * power;
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${round(x)}" y="${round(y)}"${attributes === "" ? "" : ` ${attributes}`}>${escapeXml(content)}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, opacity: number): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${INK}" stroke-opacity="${opacity}"/>`;
}

function rect(x: number, y: number, width: number, height: number, isLayer: boolean, tip: string): string {
  const colour = isLayer ? LAYER_COLOUR : OTHER_COLOUR;
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="1.5" fill="${colour}"><title>${escapeXml(tip)}</title></rect>`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** XML has no way to write most control characters (https://www.w3.org/TR/xml/#charsets), nor lone surrogates. */
function escapeXml(content: string): string {
  return (
    content
      .toWellFormed()
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must go.
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;")
      .replace(/"/g, "&quot;")
  );
}
