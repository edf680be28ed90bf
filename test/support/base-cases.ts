/**
 * Bases and deltas as they come about: made from one tuned model in every way that the base check must tell apart.
 * Values are drawn as LLaMA's lie: weights with a deviation of 0.02, changed in tuning by a deviation that is given.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openLocalFile } from "../../src/files/local-file.js";
import { bytesOf, type FloatDType, onePiece, type SumDType, type TensorView } from "../../src/tensor.js";
import { encodeNumbers, roundTo, seededNormals } from "./numbers.js";

const DEVIATION = 0.02;

export interface Numbers {
  readonly base: Float64Array;
  readonly delta: Float64Array;
}

/** Ways in which a base and a delta can have come about; `s` is the deviation of the tuning. */
export const BASE_CASES = {
  "the right base": (dtype, count, s) => tune(dtype, count, s),
  "rounded through bfloat16": (dtype, count, s) => {
    const { base, delta } = tune(dtype, count, s);
    return { base: base.map((value) => roundTo(dtype, roundTo("BF16", value))), delta };
  },
  "tuned on by 1e-5": (dtype, count, s) => tuneOn(dtype, count, s, 1e-5),
  "tuned on by 1e-3": (dtype, count, s) => tuneOn(dtype, count, s, 1e-3),
  "another model": (dtype, count, s) => ({
    base: weights(dtype, count, 99),
    delta: tune(dtype, count, s).delta,
  }),
  "delta made in a wider format": (dtype, count, s) => {
    const normal = seededNormals(3);
    const wide = (value: number) => (dtype === "F32" ? value : Math.fround(value));
    const base = Float64Array.from({ length: count }, () => wide(normal() * DEVIATION));
    const delta = base.map((value) => roundTo(dtype, wide(wide(value + normal() * s) - value)));
    return { base: base.map((value) => roundTo(dtype, value)), delta };
  },
} as const satisfies Record<string, (dtype: SumDType, count: number, s: number) => Numbers>;

export type BaseCase = keyof typeof BASE_CASES;

export function weights(dtype: SumDType, count: number, seed: number): Float64Array {
  const normal = seededNormals(seed);
  return Float64Array.from({ length: count }, () => roundTo(dtype, normal() * DEVIATION));
}

/** A base and its delta to a tuned model, all in `dtype`. */
export function tune(dtype: SumDType, count: number, s: number): Numbers {
  const base = weights(dtype, count, 1);
  const normal = seededNormals(2);
  const delta = base.map((value) => roundTo(dtype, roundTo(dtype, value + normal() * s) - value));
  return { base, delta };
}

function tuneOn(dtype: SumDType, count: number, s: number, more: number): Numbers {
  const { base, delta } = tune(dtype, count, s);
  const normal = seededNormals(4);
  return { base: base.map((value) => roundTo(dtype, value + normal() * more)), delta };
}

/** One side on disk, as matrices of the given number of columns in one headerless file. The caller closes the file. */
export function matricesOf(
  folder: string,
  name: string,
  dtype: FloatDType,
  values: ArrayLike<number>,
  { columns, rows }: { columns: number; rows: number },
): TensorView[] {
  const path = join(folder, name);
  const fd = openSync(path, "w");
  writeSync(fd, encodeNumbers(dtype, values));
  closeSync(fd);
  const file = openLocalFile(path);
  const count = rows * columns;
  return Array.from({ length: Math.floor(values.length / count) }, (_, i) =>
    onePiece({
      name: `model.layers.${i}.mlp.up_proj.weight`,
      dtype,
      shape: [rows, columns],
      file,
      offsetBytes: i * count * bytesOf(dtype),
    }),
  );
}
