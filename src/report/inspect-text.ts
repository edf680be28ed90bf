/**
 * What `inspect` finds: the document that `--json` prints, and the same for a terminal.
 * Pure: a document in, text out. Guards: names come from files of unknown origin, so no control character of theirs
 * reaches the terminal.
 */
import type { LayerChange } from "../plan/layer-change.js";
import type { DType } from "../tensor.js";
import type { ModelConfig } from "../vicuna/model-config.js";
import { describeRelease, type Recognition } from "../vicuna/recognize.js";
import type { TokenizerState } from "../vicuna/tokenizer-state.js";
import { formatLayerChart, percentFormat } from "./layer-chart.js";
import { type Palette, PLAIN, table, withPrintableStrings } from "./terminal.js";
import { formatBytes, formatCount, plural } from "./units.js";

/** A tensor of a checkpoint. */
export interface InspectedTensor {
  /** Its name. */
  readonly name: string;
  /** Its dtype. */
  readonly dtype: DType;
  /** Its extents; none for a scalar. */
  readonly shape: readonly number[];
  /** Its size. */
  readonly bytes: number;
  /** Name of the file it lies in. */
  readonly file: string;
}

/** What config.json says of a model, and what follows from it. */
export interface InspectedConfig extends ModelConfig {
  /** Length of the context in tokens, scaling included; null where the file doesn't say. */
  readonly contextTokens: number | null;
}

/** How much a model changes its base. */
export interface InspectedChange extends LayerChange {
  /** The path of the base that was read. */
  readonly base: string;
}

/** What a checkpoint holds: what `inspect` prints with `--json`. */
export interface InspectDocument {
  /** The path of the folder or file that was read. */
  readonly model: string;
  /** The formats of its weights files, in words. */
  readonly formats: readonly string[];
  /** Elements of all weights; the buffers of position encodings aren't among them. */
  readonly parameters: number;
  /** Size of the weights files. */
  readonly bytes: number;
  /** Its dtypes, and what is in each. */
  readonly dtypes: readonly {
    /** The dtype. */
    readonly dtype: DType;
    /** Tensors of it. */
    readonly tensors: number;
    /** Their elements. */
    readonly elements: number;
    /** Their size. */
    readonly bytes: number;
  }[];
  /** Its weights files. */
  readonly shards: readonly {
    /** Its name. */
    readonly file: string;
    /** Its size. */
    readonly bytes: number;
    /** Tensors in it. */
    readonly tensors: number;
  }[];
  /** The names that were asked for; null where all are listed. */
  readonly filter: string | null;
  /** How many tensors there are, before the filter. */
  readonly tensorCount: number;
  /** In state-dict order, those the filter lets through. */
  readonly tensors: readonly InspectedTensor[];
  /** What config.json says of the model; null where there is none. */
  readonly config: InspectedConfig | null;
  /** Which tokenizer files there are, and whether they fit. */
  readonly tokenizer: TokenizerState;
  /** Which release of Vicuna it is. */
  readonly release: Recognition;
  /** How much it changes the base; null without one. */
  readonly change: InspectedChange | null;
  /** What is odd about the files, a sentence each. */
  readonly notes: readonly string[];
}

/** The document for a terminal. With a filter, tensors one by one; without, the layers' taken together. */
export function formatInspection(untrusted: InspectDocument, paint: Palette = PLAIN): string {
  const document = withPrintableStrings(untrusted);
  const { model, parameters, bytes, shards, formats, dtypes, change, notes } = document;
  const fields: [string, string | null][] = [
    ["release", describeRecognition(document.release)],
    ["format", `${formats.join(" and ")}, ${formatBytes(bytes)} in ${plural(shards.length, "file")}`],
    ["weights", `${formatCount(parameters)} parameters in ${plural(document.tensorCount, "tensor")}`],
    [
      "dtypes",
      dtypes
        .map((of) => `${of.dtype} (${plural(of.tensors, "tensor")}, ${formatBytes(of.bytes)})`)
        .join(", "),
    ],
    ["config", describeConfig(document.config)],
    ["tokenizer", describeTokenizer(document.tokenizer)],
  ];
  const sections = [
    [
      paint.strong(model),
      ...fields.flatMap(([label, text]) => (text === null ? [] : [`  ${label.padEnd(9)}  ${text}`])),
      ...[...document.tokenizer.problems, ...document.release.doubts].map(
        (odd) => `  ${paint.warning("look at:")} ${odd}`,
      ),
      ...notes.map((note) => `  note: ${note}`),
    ],
    shards.length > 1
      ? table(shards.map((shard) => [shard.file, formatBytes(shard.bytes), plural(shard.tensors, "tensor")]))
      : [],
    listTensors(document),
    change === null ? [] : describeChange(change),
  ];
  const written = sections.filter((lines) => lines.length > 0);
  return written.map((lines) => lines.join("\n")).join("\n\n");
}

function describeRecognition({ recognized }: Recognition): string | null {
  return recognized === null ? null : describeRelease(recognized);
}

function describeConfig(config: InspectDocument["config"]): string {
  if (config === null) return "there is no config.json";
  const { architectures, layers, hiddenSize, attentionHeads, keyValueHeads, contextTokens, torchDType } =
    config;
  const count = (value: number | null, noun: string) => (value === null ? [] : [plural(value, noun)]);
  const facts = [
    ...architectures,
    ...count(layers, "layer"),
    ...(hiddenSize === null ? [] : [`${hiddenSize.toLocaleString("en-US")} wide`]),
    ...count(attentionHeads, "head"),
    ...(keyValueHeads === attentionHeads ? [] : count(keyValueHeads, "key-value head")),
    ...(contextTokens === null ? [] : [`${contextTokens.toLocaleString("en-US")} tokens of context`]),
    ...(torchDType === null ? [] : [torchDType]),
    ...(config.tieWordEmbeddings ? ["tied embeddings"] : []),
  ];
  return facts.join(", ") || "config.json says nothing of the model";
}

function describeTokenizer({ files, pieces, addedTokens, rows }: TokenizerState): string {
  const count = (value: number) => value.toLocaleString("en-US");
  const facts = [
    ...(pieces === null ? [] : [plural(pieces, "piece")]),
    ...(addedTokens === null || addedTokens === 0 ? [] : [`${count(addedTokens)} added`]),
    ...(rows === null ? [] : [`for ${plural(rows, "row")}`]),
  ];
  const names = files.join(", ") || "no files";
  return facts.length === 0 ? names : `${facts.join(", ").replace(", for", " for")} (${names})`;
}

function listTensors({ filter, tensors, tensorCount }: InspectDocument): string[] {
  if (filter === null) return table(collapseLayers(tensors));
  const heading = `${plural(tensors.length, "tensor")} of ${tensorCount.toLocaleString("en-US")} like ${filter}`;
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
  const { overall, kinds, tensorsCompared, tensorsNotCompared, elementsSampled, elementsCompared } = change;
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
    ...(change.comparedAs === "difference" ? ["  a whole model, not a delta: its base was subtracted"] : []),
    ...(change.notFinite === 0
      ? []
      : [`  ${plural(change.notFinite, "sampled element")} infinite or NaN, left out`]),
    ...(tensorsNotCompared.length === 0
      ? []
      : [
          `  not compared: ${tensorsNotCompared.slice(0, 5).join(", ")}${tensorsNotCompared.length > 5 ? ", …" : ""}`,
        ]),
  ];
}
