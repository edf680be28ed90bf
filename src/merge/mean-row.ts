/**
 * The mean of a matrix's rows, as one row in the sum's dtype. The rule is Stanford Alpaca's (train.py,
 * `smart_tokenizer_and_embedding_resize`), which makes new embedding rows the mean of the old ones. Accumulated in
 * float64, so the order of the rows does not matter.
 */
import { gather, openView } from "../files/gather.js";
import { noPause } from "../interrupt.js";
import type { Kernel } from "../kernel/kernel.js";
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import {
  bytesOf,
  elementCount,
  type FloatDType,
  type ReadableFile,
  type SumDType,
  type TensorView,
} from "../tensor.js";
import type { Sample } from "../workers/sample.js";

/** Elements read at a time; one row is longer only in a model nobody has. */
const BLOCK_ELEMENTS = 64 * 1024;

/** Elements announced at a time, for whoever fetches them. */
const ANNOUNCED_ELEMENTS = 512 * 1024;

/** A block as read, and the same as float32. */
const MEMORY_BYTES = BLOCK_ELEMENTS * (8 + 4);

const FLOATS_AT = BLOCK_ELEMENTS * 8;

export interface MeanRowJob {
  readonly matrix: TensorView<ReadableFile>;
  readonly dtype: SumDType;
  readonly kernel: CompiledKernel;
}

export const meanRowSample: Sample<MeanRowJob, Uint8Array> = {
  module: new URL("./mean-row.js", import.meta.url).href,
  runJob,
  *rangesOf({ matrix }) {
    const view = openView(matrix);
    const total = elementCount(matrix.shape);
    for (let first = 0; first < total; first += ANNOUNCED_ELEMENTS)
      yield { view, first, count: Math.min(ANNOUNCED_ELEMENTS, total - first) };
  },
};

/** The mean over the first dimension of a matrix, after its elements are rounded to `dtype`. */
export async function runJob(
  { matrix, dtype, kernel: compiled }: MeanRowJob,
  pause = noPause,
): Promise<Uint8Array> {
  const kernel = instantiateKernel(compiled, MEMORY_BYTES);
  const [rows = 0, width = 0] = matrix.shape;
  const total = rows * width;
  const view = openView(matrix);
  const sums = new Float64Array(width);
  const floats = new Float32Array(kernel.memory.buffer, kernel.memory.byteOffset + FLOATS_AT, BLOCK_ELEMENTS);
  for (let first = 0; first < total; first += BLOCK_ELEMENTS) {
    await pause();
    const count = Math.min(BLOCK_ELEMENTS, total - first);
    gather(view, first, count, kernel.memory, 0);
    convertTo(kernel, view.dtype, dtype, count);
    kernel.convert(dtype, "F32", 0, FLOATS_AT, count);
    let column = first % width;
    for (let i = 0; i < count; i++) {
      sums[column] = (sums[column] as number) + (floats[i] as number);
      if (++column === width) column = 0;
    }
  }
  return inDType(sums, rows, dtype, kernel);
}

/** Rounds the block at the start of memory to `dtype`, in place; wider needs the float region in between. */
function convertTo(kernel: Kernel, from: FloatDType, to: SumDType, count: number): void {
  if (from === to) return;
  if (bytesOf(to) <= bytesOf(from)) {
    kernel.convert(from, to, 0, 0, count);
  } else {
    kernel.convert(from, to, 0, FLOATS_AT, count);
    kernel.memory.copyWithin(0, FLOATS_AT, FLOATS_AT + count * bytesOf(to));
  }
}

function inDType(sums: Float64Array, rows: number, dtype: SumDType, kernel: Kernel): Uint8Array {
  const row = new Uint8Array(sums.length * bytesOf(dtype));
  const means = new Float32Array(kernel.memory.buffer, kernel.memory.byteOffset, BLOCK_ELEMENTS);
  for (let first = 0; first < sums.length; first += BLOCK_ELEMENTS) {
    const count = Math.min(BLOCK_ELEMENTS, sums.length - first);
    for (let i = 0; i < count; i++) means[i] = (sums[first + i] as number) / rows;
    kernel.convert("F32", dtype, 0, FLOATS_AT, count);
    row.set(kernel.memory.subarray(FLOATS_AT, FLOATS_AT + count * bytesOf(dtype)), first * bytesOf(dtype));
  }
  return row;
}
