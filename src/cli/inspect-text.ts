import type { InspectDocument, InspectedChange, InspectedTensor } from "../inspect/documents.js";
import { describeRelease } from "../llama/describe.js";
import type { TokenizerState } from "../llama/documents.js";
import { firstFew, formatBytes, formatCount, formatExact, plural } from "../units.js";
import { formatLayerChart, percentFormat } from "./layer-chart.js";
import { joinSections, linesIf, type Palette, PLAIN, table, withPrintableStrings } from "./terminal.js";

/** The document for a terminal. With a filter, tensors one by one; without, the layers' taken together. */
export function formatInspection(untrusted: InspectDocument, paint: Palette = PLAIN): string {
  const document = withPrintableStrings(untrusted);
  const { model, parameters, bytes, shards, formats, dtypes, change, notes } = document;
  const { recognized, doubts } = document.release;
  const fields: [string, string | null][] = [
    ["release", recognized === null ? null : describeRelease(recognized)],
    ["format", `${formats.join(" and ")}, ${formatBytes(bytes)} in ${plural(shards.length, "file")}`],
    ["weights", `${formatCount(parameters)} parameters in ${plural(document.tensorCount, "tensor")}`],
    ["dtypes", dtypes.map(describeDType).join(", ")],
    ["config", describeConfig(document.config)],
    ["tokenizer", describeTokenizer(document.tokenizer)],
  ];
  const sections = [
    [
      paint.strong(model),
      ...fields.flatMap(([label, text]) => (text === null ? [] : [`  ${label.padEnd(9)}  ${text}`])),
      ...[...document.tokenizer.problems, ...doubts].map((odd) => `  ${paint.warning("look at:")} ${odd}`),
      ...notes.map((note) => `  note: ${note}`),
    ],
    shards.length > 1
      ? table(shards.map((shard) => [shard.file, formatBytes(shard.bytes), plural(shard.tensors, "tensor")]))
      : [],
    listTensors(document),
    change === null ? [] : describeChange(change),
  ];
  return joinSections(sections);
}

function describeDType({ dtype, tensors, bytes }: InspectDocument["dtypes"][number]): string {
  return `${dtype} (${plural(tensors, "tensor")}, ${formatBytes(bytes)})`;
}

function describeConfig(config: InspectDocument["config"]): string {
  if (config === null) return "no config.json";
  const { architectures, layers, hiddenSize, attentionHeads, keyValueHeads, contextTokens, torchDType } =
    config;
  const count = (value: number | null, noun: string) => (value === null ? [] : [plural(value, noun)]);
  const facts = [
    ...architectures,
    ...count(layers, "layer"),
    ...(hiddenSize === null ? [] : [`${formatExact(hiddenSize)} wide`]),
    ...count(attentionHeads, "head"),
    ...(keyValueHeads === attentionHeads ? [] : count(keyValueHeads, "key-value head")),
    ...(contextTokens === null ? [] : [`${formatExact(contextTokens)} tokens of context`]),
    ...(torchDType === null ? [] : [torchDType]),
    ...(config.tieWordEmbeddings ? ["tied embeddings"] : []),
  ];
  return facts.join(", ") || "config.json says nothing about the model";
}

function describeTokenizer({ files, pieces, addedTokens, rows }: TokenizerState): string {
  const facts = [
    ...(pieces === null ? [] : [plural(pieces, "piece")]),
    ...(addedTokens === null || addedTokens === 0 ? [] : [`${formatExact(addedTokens)} added`]),
    ...(rows === null ? [] : [`for ${plural(rows, "row")}`]),
  ];
  const names = files.join(", ") || "no files";
  return facts.length === 0 ? names : `${facts.join(", ").replace(", for", " for")} (${names})`;
}

function listTensors({ filter, tensors, tensorCount }: InspectDocument): string[] {
  if (filter === null) return table(collapseLayers(tensors));
  const heading = `${plural(tensors.length, "tensor")} of ${formatExact(tensorCount)} like ${filter}`;
  return [
    heading,
    ...table(tensors.map((tensor) => [tensor.name, tensor.dtype, shapeOf(tensor), tensor.file])),
  ];
}

/** One row for all layers' tensors that differ only in the number of the layer. */
function collapseLayers(tensors: readonly InspectedTensor[]): string[][] {
  const rows = new Map<string, { row: string[]; layers: number }>();
  for (const tensor of tensors) {
    const name = tensor.name.replace(/^model\.layers\.\d+\./, "model.layers.*.");
    const row = [name, tensor.dtype, shapeOf(tensor)];
    const seen = rows.get(row.join());
    if (seen === undefined) rows.set(row.join(), { row, layers: 1 });
    else seen.layers++;
  }
  return [...rows.values()].map(({ row, layers }) => [...row, layers === 1 ? "" : `x ${layers}`]);
}

function shapeOf({ shape }: InspectedTensor): string {
  return shape.length === 0 ? "scalar" : shape.join(" x ");
}

function describeChange(change: InspectedChange): string[] {
  const { overall, kinds, comparedAs, tensorsCompared, tensorsNotCompared, notFinite } = change;
  const { elementsSampled, elementsCompared } = change;
  const percent = percentFormat([overall, ...kinds]);
  const isWhole = elementsSampled === elementsCompared;
  const share = isWhole ? "all of them" : `${formatCount(elementsSampled)} of them sampled`;
  return [
    formatLayerChart(change),
    "",
    ...table(kinds.map(({ kind, ratio }) => [kind, percent(ratio)])),
    "",
    `  ${percent(overall.ratio)} over all matrices, compared with ${change.base}`,
    `  ${plural(tensorsCompared, "tensor")}, ${formatCount(elementsCompared)} elements, ${share}`,
    ...linesIf(comparedAs === "difference", "  a whole model, not a delta: its base was subtracted"),
    ...linesIf(notFinite > 0, `  ${plural(notFinite, "sampled element")} infinite or NaN, left out`),
    ...linesIf(tensorsNotCompared.length > 0, `  not compared: ${firstFew(tensorsNotCompared)}`),
  ];
}
