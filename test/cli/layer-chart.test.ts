/** The chart, character by character. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatLayerChart, percentFormat } from "../../src/cli/layer-chart.js";
import { changeOf } from "../support/changes.js";

test("a row a part, aligned; the longest bar fills the width", () => {
  const change = changeOf({ embed: 0.01, "layer 0": 0.02, "layer 10": 0.04, head: 0.0005 });
  assert.equal(
    formatLayerChart(change, 35),
    [
      "Size of the change: rms of delta over rms of base",
      "embed     1.00%  ████▌",
      "layer 0   2.00%  █████████",
      "layer 10  4.00%  ██████████████████",
      "head      0.05%  ▎",
    ].join("\n"),
  );
});

test("eighths of a cell", () => {
  const shares = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`layer ${i}`, (56 + i) / 64]));
  const bars = formatLayerChart(changeOf(shares), 23)
    .split("\n")
    .slice(1)
    .map((line) => line.slice("layer 0  100%  ".length));
  assert.deepEqual(
    bars,
    ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"].map((rest) => `███████${rest}`),
  );
});

test("80 columns by default, for 80 layers and for names without end", () => {
  const layers = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`layer ${i}`, 0.01 + i / 1000]));
  const change = changeOf({ [`transformer.${"x".repeat(200)}`]: 0.5, ...layers });
  const rows = formatLayerChart(change).split("\n").slice(1);
  assert.equal(rows.length, 81);
  assert.ok(rows.every((row) => row.length <= 80));
  assert.equal(Math.max(...rows.map((row) => row.length)), 80);
  assert.match(rows[0] ?? "", /^…x+ {2}50\.0% {2}█+$/);
});

test("nothing changed; nothing to compare with", () => {
  assert.equal(formatLayerChart(changeOf({ embed: 0, "layer 0": 0 })).split("\n")[2], "layer 0  0%");
  assert.equal(formatLayerChart(changeOf({ embed: null, "layer 0": 0.5 })).split("\n")[1], "embed        -");
  assert.equal(formatLayerChart(changeOf({})), "Size of the change: rms of delta over rms of base");
});

test("the least change shows", () => {
  assert.match(formatLayerChart(changeOf({ embed: 1, head: 1e-9 })), /head {5}0% {2}▏$/);
});

test("a whole model's title says what was subtracted", () => {
  const change = { ...changeOf({ embed: 1 }), comparedAs: "difference" as const };
  assert.match(formatLayerChart(change), /^Size of the change: rms of model - base over rms of base\n/);
});

test("percent has three significant digits of the largest, and the same decimals for all", () => {
  const format = (largest: number, ratio: number) =>
    percentFormat([{ baseRms: 1, changeRms: largest, ratio: largest }])(ratio);
  assert.equal(format(2, 0.5), "50%");
  assert.equal(format(0.5, 0.5), "50.0%");
  assert.equal(format(0.05, 0.01234), "1.23%");
  assert.equal(format(0.0004, 0.0004), "0.0400%");
  assert.equal(format(1e-12, 1e-12), "0.000000%");
});
