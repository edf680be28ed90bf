/** Models in Meta's layout, split over files here by code of its own, with whatever is wrong with one of them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FloatDType } from "../../src/tensor.js";
import { floats, type Tensor, torchFile } from "./model-folder.js";
import { seededNormals } from "./numbers.js";

export interface MetaSample {
  readonly files?: number;
  readonly seed?: number;
  readonly dtype?: FloatDType;
  /** What params.json says instead. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** What a file holds instead. */
  readonly change?: (part: readonly Tensor[], number: number) => readonly Tensor[];
}

const PARAMS = { dim: 32, multiple_of: 16, n_heads: 4, n_layers: 2, norm_eps: 1e-6, vocab_size: -1 };
const [ROWS, WIDTH, HIDDEN] = [64, PARAMS.dim, 96];

type Split = "rows" | "columns" | "whole";

const LAYER: readonly [name: string, split: Split, shape: readonly number[]][] = [
  ["attention.wq", "rows", [WIDTH, WIDTH]],
  ["attention.wk", "rows", [WIDTH, WIDTH]],
  ["attention.wv", "rows", [WIDTH, WIDTH]],
  ["attention.wo", "columns", [WIDTH, WIDTH]],
  ["feed_forward.w1", "rows", [HIDDEN, WIDTH]],
  ["feed_forward.w2", "columns", [WIDTH, HIDDEN]],
  ["feed_forward.w3", "rows", [HIDDEN, WIDTH]],
  ["attention_norm", "whole", [WIDTH]],
  ["ffn_norm", "whole", [WIDTH]],
];

const ALL: typeof LAYER = [
  ["tok_embeddings", "columns", [ROWS, WIDTH]],
  ["norm", "whole", [WIDTH]],
  ["output", "rows", [ROWS, WIDTH]],
  ...[0, 1].flatMap((layer) =>
    LAYER.map(([name, ...rest]): (typeof LAYER)[number] => [`layers.${layer}.${name}`, ...rest]),
  ),
];

/** The tensors in each file. */
export function metaParts({ files = 1, seed = 1, dtype = "F16" }: MetaSample = {}): Tensor[][] {
  const normal = seededNormals(seed);
  const parts: Tensor[][] = Array.from({ length: files }, () => []);
  for (const [name, split, shape] of ALL) {
    const [rows = 0, columns = 1] = shape;
    const values = Float64Array.from({ length: rows * columns }, () => normal() * 0.02);
    for (const [number, part] of parts.entries()) {
      const [ofRows, ofColumns] = [split === "rows" ? files : 1, split === "columns" ? files : 1];
      const [height, width] = [rows / ofRows, columns / ofColumns];
      const [top, left] = [ofRows > 1 ? number * height : 0, ofColumns > 1 ? number * width : 0];
      const share = Float64Array.from({ length: height * width }, (_, i) => {
        return values[(top + Math.floor(i / width)) * columns + left + (i % width)] ?? 0;
      });
      part.push(floats(`${name}.weight`, dtype, shape.length === 1 ? [height] : [height, width], share));
    }
  }
  return parts;
}

/** Writes consolidated.NN.pth and params.json, and returns the folder. */
export function writeMeta(folder: string, sample: MetaSample = {}): string {
  mkdirSync(folder, { recursive: true });
  for (const [number, part] of metaParts(sample).entries()) {
    const content = torchFile(sample.change?.(part, number) ?? part);
    writeFileSync(join(folder, `consolidated.${String(number).padStart(2, "0")}.pth`), content);
  }
  writeFileSync(join(folder, "params.json"), JSON.stringify({ ...PARAMS, ...sample.params }));
  return folder;
}
