/** What a merge must give, made in double arithmetic, and tensors large enough for several segments. */
import assert from "node:assert/strict";
import { bytesOf, elementCount, type FloatDType, type SumDType } from "../../src/tensor.js";
import type { Tensor } from "./model-folder.js";
import { convertTo, decodeNumbers, encodeNumbers, roundTo, seededNormals } from "./numbers.js";

export interface Sum {
  readonly base: Tensor | null;
  readonly delta: Tensor | null;
  readonly dtype?: SumDType | "auto";
}

/** What a tensor of the target must hold: the base rounded to the delta's dtype, one sum, one conversion. */
function expected({ base, delta, dtype = "auto" }: Sum): { dtype: SumDType; numbers: number[] } {
  const from = (delta ?? base)?.dtype as FloatDType;
  const sumDType = from === "F64" ? "F32" : from;
  const numbersOf = ({ dtype: own, bytes }: Tensor) =>
    Array.from(decodeNumbers(own as FloatDType, bytes), (value) =>
      own === sumDType ? value : convertTo(sumDType, own as FloatDType, value),
    );
  const bases = base === null ? null : numbersOf(base);
  const deltas = delta === null ? null : numbersOf(delta);
  // Where the base has fewer elements it counts as zeros.
  const sums =
    bases !== null && deltas !== null
      ? deltas.map((value, i) => roundTo(sumDType, (bases[i] ?? 0) + value))
      : (deltas ?? bases ?? []);
  const out = dtype === "auto" ? sumDType : dtype;
  return {
    dtype: out,
    numbers: out === sumDType ? sums : sums.map((value) => convertTo(out, sumDType, value)),
  };
}

/** The same numbers, -0 told from 0; one NaN is like another. */
export function assertTensor(got: Tensor | undefined, sum: Sum, label: string): void {
  const { dtype, numbers } = expected(sum);
  assert.ok(got, `${label} is not there`);
  assert.equal(got.dtype, dtype, label);
  assert.deepEqual(got.shape, (sum.delta ?? sum.base)?.shape, label);
  const values = decodeNumbers(dtype, got.bytes);
  assert.equal(values.length, numbers.length, label);
  for (const [i, value] of values.entries()) {
    if (!Object.is(value, numbers[i])) assert.fail(`${label}[${i}] is ${value}, not ${numbers[i]}`);
  }
}

/** Many elements without the cost of many: a few hundred numbers, drawn again and again in an order of their own. */
export function repeated(
  name: string,
  dtype: FloatDType,
  shape: readonly number[],
  deviation: number,
  step: number,
): Tensor {
  const normal = seededNormals(step);
  const pool = encodeNumbers(
    dtype,
    Array.from({ length: 257 }, () => normal() * deviation),
  );
  const size = bytesOf(dtype);
  const bytes = new Uint8Array(elementCount(shape) * size);
  for (let i = 0, at = 0; i < bytes.length; i += size, at = (at + step) % 257) {
    for (let byte = 0; byte < size; byte++) bytes[i + byte] = pool[at * size + byte] ?? 0;
  }
  return { name, dtype, shape, bytes };
}
