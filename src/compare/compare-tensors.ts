import { basename } from "node:path";
import { openView } from "../files/gather.js";
import type { CompiledKernel } from "../kernel/select.js";
import {
  bitsOf,
  byteLengthOf,
  type DType,
  elementCount,
  indexOf,
  isFloatDType,
  type TensorView,
} from "../tensor.js";
import { runWorkers } from "../workers/pool.js";
import { readsOfJob } from "../workers/reads.js";
import { segmentedJob } from "../workers/segments.js";
import { COMPARED_BYTES, COUNTS, type CompareJob, type CompareTask } from "./compare-segments.js";
import type { Largest, TensorComparison, Tolerance } from "./documents.js";
import { addRow, ROW, ROW_LENGTH } from "./element-tally.js";
import type { TensorPair } from "./pair-tensors.js";

const JOB_MODULE = new URL("./compare-segments.js", import.meta.url).href;

export interface CompareTensorsOptions {
  readonly tolerance: Tolerance;
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  /** `current` is the name of a's file that is being read. */
  onProgress(progress: { bytesDone: number; bytesTotal: number; current: string }): void;
}

/** Compares every pair, in their order. Throws the first error a worker met, or `interrupted`. */
export async function compareTensors(
  pairs: readonly TensorPair[],
  { tolerance, kernel, threads, signal, onProgress }: CompareTensorsOptions,
): Promise<TensorComparison[]> {
  const tasks = pairs.map(taskOf).filter((task) => task.elementCount > 0);
  const rows = new Float64Array(new SharedArrayBuffer(8 * ROW_LENGTH * Math.max(1, threads * pairs.length)));
  const counted = segmentedJob(tasks, Object.keys(COUNTS).length);
  const job: CompareJob = { ...counted, tolerance, kernel, rows, taskCount: pairs.length };
  const ends = endsOf(pairs);
  const bytesTotal = ends.at(-1) ?? 0;
  const onTick = () => {
    const bytesDone = Number(Atomics.load(job.shared.counts, COUNTS.bytesDone));
    const at = ends.findIndex((end) => end > bytesDone);
    onProgress({ bytesDone, bytesTotal, current: basename(pairs.at(at)?.a.file.path ?? "") });
  };
  const inputsOf = ({ a, b }: CompareTask) => [a, b].map((view) => ({ view, firstElement: 0 }));
  const reads = readsOfJob(job, inputsOf);
  await runWorkers({ module: JOB_MODULE, job }, { threads, signal, reads, onTick });
  return pairs.map((pair, index) => {
    const sum = new Float64Array(ROW_LENGTH);
    for (let worker = 0; worker < threads; worker++) {
      const start = (worker * pairs.length + index) * ROW_LENGTH;
      addRow(sum, rows.subarray(start, start + ROW_LENGTH));
    }
    return describe(pair, sum);
  });
}

function taskOf({ a, b }: TensorPair, index: number): CompareTask {
  const [left, right] = [wholeBytes(a), wholeBytes(b)];
  return {
    index,
    a: openView<DType>(left),
    b: openView<DType>(right),
    isFloat: isFloatDType(a.dtype) && isFloatDType(b.dtype),
    elementCount: elementCount(left.shape),
    segmentElements: (COMPARED_BYTES * 8) / Math.max(bitsOf(left.dtype), bitsOf(right.dtype)),
    lead: 0,
  };
}

/** Elements of less than a byte have no address: their bytes take their place. Both sides have the same dtype then. */
function wholeBytes(tensor: TensorView): TensorView {
  if (bitsOf(tensor.dtype) % 8 === 0) return tensor;
  return { ...tensor, dtype: "U8", shape: [byteLengthOf(tensor)], strides: [1] };
}

/** Bytes of side a up to the end of each tensor. */
function endsOf(pairs: readonly TensorPair[]): number[] {
  let end = 0;
  return pairs.map(({ a }) => {
    end += byteLengthOf(a);
    return end;
  });
}

function describe({ a, b }: TensorPair, row: Float64Array): TensorComparison {
  const isFloat = isFloatDType(a.dtype) && isFloatDType(b.dtype);
  const isSameDType = a.dtype === b.dtype;
  const field = (name: keyof typeof ROW) => row[ROW[name]] as number;
  const place = (at: number) => (at === 0 ? null : indexOf(at - 1, wholeBytes(a).shape));
  const largest = (name: "absolute" | "relative"): Largest | null => {
    const index = place(field(`${name}At`));
    return index === null
      ? null
      : { difference: field(name), index, a: field(`${name}A`), b: field(`${name}B`) };
  };
  return {
    name: a.name,
    shape: a.shape,
    dtypes: { a: a.dtype, b: b.dtype },
    elements: elementCount(a.shape),
    differentBits: isSameDType ? field("differentBits") : null,
    differentValues: isFloat ? field("differentValues") : null,
    beyondTolerance: isFloat ? field("beyond") : null,
    notFinite: field("notFinite"),
    first: place(isSameDType ? field("firstBits") : field("firstValue")),
    largestAbsolute: largest("absolute"),
    largestRelative: largest("relative"),
  };
}

/** The indices of a row-major position. */
