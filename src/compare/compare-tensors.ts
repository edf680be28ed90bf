/**
 * Compares tensors in worker threads. Both sides are read into the kernel's memory and compared there as bytes, at the
 * speed of memcmp; only a segment that differs is looked at element by element.
 */
import { basename } from "node:path";
import { ElementReader, SCRATCH_BYTES } from "../files/element-reader.js";
import { type OpenView, openView } from "../files/gather.js";
import { READ_MARGIN_BYTES } from "../files/reader.js";
import { dequantizeBlocks } from "../kernel/blocks.js";
import type { Kernel } from "../kernel/kernel.js";
import { valueOfF16 } from "../kernel/reference.js";
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import {
  bitsOf,
  blockElements,
  byteLengthOf,
  type DType,
  elementCount,
  holdsNumbers,
  indexOf,
  isFloatDType,
  isQuantizedDType,
  onePiece,
  type QuantizedDType,
  type TensorView,
} from "../tensor.js";
import { runWorkers } from "../workers/pool.js";
import { readsOfJob } from "../workers/reads.js";
import {
  type Run,
  SEGMENTS_AT_ONCE,
  type Segment,
  type SegmentedJob,
  segmentedJob,
  stopWorkers,
  workOnSegments,
} from "../workers/segments.js";
import type { Largest, TensorComparison, Tolerance } from "./documents.js";
import {
  addTallies,
  NO_DIFFERENCE,
  type Peak,
  type Steps,
  type Tally,
  tallyBits,
  tallyValues,
} from "./element-tally.js";

/** Two tensors of one name and one shape, of one dtype or both of numbers. */
export interface TensorPair {
  readonly a: TensorView;
  readonly b: TensorView;
}

/**
 * How far a quantized number may be from the one it was made of, in steps of its block. Q8_0: half a step, and what
 * rounding the scale to 11 bits moves 127 steps by. Q4_0 has no eighth step on one side.
 */
export const QUANTUM_ERRORS: Readonly<Record<QuantizedDType, number>> = { Q8_0: 0.57, Q4_0: 1.01 };

/** The dtype of the side that alone is quantized, or null. */
export function quantizedSide({ a, b }: Record<"a" | "b", { readonly dtype: DType }>): QuantizedDType | null {
  const [first, ...others] = [a.dtype, b.dtype].filter(isQuantizedDType);
  return others.length === 0 ? (first ?? null) : null;
}

interface CompareTensorsOptions {
  /** Null: bits are compared, and quantized numbers to what they may be rounded from. */
  readonly tolerance: Tolerance | null;
  readonly kernel: CompiledKernel;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  /** `current`: the file of a that is being read. */
  onProgress(progress: { bytesDone: number; bytesTotal: number; current: string }): void;
}

/** The elements of a pair, in row-major order. */
interface CompareTask extends Run {
  readonly index: number;
  readonly a: OpenView<DType>;
  readonly b: OpenView<DType>;
}

interface CompareJob extends SegmentedJob<CompareTask> {
  readonly tolerance: Tolerance | null;
  readonly kernel: CompiledKernel;
}

/** The job's one counter: bytes of side a. */
const BYTES_DONE = 0;

/**
 * The longest range that is read of either side at a time. From the page cache 128 KiB are as fast; the disk wants to be
 * asked for much.
 */
export const COMPARED_BYTES = 1024 * 1024;

/**
 * Regions of memory: both sides as float32, which 16-bit elements double in; then for each segment both as they are read,
 * each with scratch for that.
 */
const A_FLOATS_AT = 0;
const B_FLOATS_AT = 2 * COMPARED_BYTES;
const PLACES_AT = 4 * COMPARED_BYTES;
const REGION_BYTES = COMPARED_BYTES + READ_MARGIN_BYTES;
const SIDE_BYTES = REGION_BYTES + SCRATCH_BYTES;
const MEMORY_BYTES = PLACES_AT + SEGMENTS_AT_ONCE * 2 * SIDE_BYTES;

/** Compares every pair, in their order. Throws the first error a worker met, or `interrupted`. */
export async function compareTensors(
  pairs: readonly TensorPair[],
  { tolerance, kernel, threads, signal, onProgress }: CompareTensorsOptions,
): Promise<TensorComparison[]> {
  const tasks = pairs.map(taskOf).filter((task) => task.elementCount > 0);
  const job: CompareJob = { ...segmentedJob(tasks, 1), tolerance, kernel };
  const bytesTotal = pairs.reduce((sum, { a }) => sum + byteLengthOf(a), 0);
  const onTick = () => {
    const bytesDone = Number(Atomics.load(job.shared.counts, BYTES_DONE));
    let end = 0;
    const current = pairs.find(({ a }) => {
      end += byteLengthOf(a);
      return end > bytesDone;
    });
    onProgress({
      bytesDone,
      bytesTotal,
      current: basename((current ?? pairs.at(-1))?.a.pieces[0].file.path ?? ""),
    });
  };
  const reads = readsOfJob(job, ({ a, b }) => [a, b].map((view) => ({ view, firstElement: 0 })));
  const work = { module: new URL("./compare-tensors.js", import.meta.url).href, job };
  const tallies = (await runWorkers(work, { threads, signal, reads, onTick })) as Tallies[];
  return pairs.map((pair, index) => {
    const ofPair = tallies.flatMap((ofWorker) => ofWorker.get(index) ?? []);
    return describe(pair, ofPair.reduce(addTallies, NO_DIFFERENCE));
  });
}

function taskOf(pair: TensorPair, index: number): CompareTask {
  const [a, b] = [wholeBytes(pair.a), wholeBytes(pair.b)];
  return {
    index,
    a: openView<DType>(a),
    b: openView<DType>(b),
    elementCount: elementCount(a.shape),
    segmentElements: (COMPARED_BYTES * 8) / Math.max(...[a, b].map(({ dtype }) => bitsInMemory(dtype))),
    lead: 0,
  };
}

/** Quantized numbers become float32, for which there is room for as many as there are of 16 bits. */
function bitsInMemory(dtype: DType): number {
  return isQuantizedDType(dtype) ? 16 : bitsOf(dtype);
}

/**
 * Elements of less than a byte, and of a block type that isn't read as numbers, have no address: their bytes take their
 * place. Both sides have the same dtype then.
 */
function wholeBytes(tensor: TensorView): TensorView {
  if (bitsOf(tensor.dtype) % 8 === 0 || isQuantizedDType(tensor.dtype)) return tensor;
  const { name, pieces } = tensor;
  return onePiece({ ...pieces[0], name, dtype: "U8", shape: [byteLengthOf(tensor)], strides: [1] });
}

type Tallies = Map<number, Tally>;

/** A worker's share: what it found of the tensors that differ. Throws what reading throws. */
export async function runJob(job: CompareJob): Promise<Tallies> {
  const kernel = instantiateKernel(job.kernel, MEMORY_BYTES);
  const reader = new ElementReader(() => stopWorkers(job.shared));
  const tallies: Tallies = new Map();
  try {
    await workOnSegments(job, SEGMENTS_AT_ONCE, async (segment, place) => {
      const { run: task, first, count } = segment;
      const read = (view: OpenView<DType>, side: number) => {
        const region = PLACES_AT + (place * 2 + side) * SIDE_BYTES;
        const { memory } = kernel;
        return reader.read(view, first, count, { memory, region, scratch: region + REGION_BYTES });
      };
      const [aAt, bAt] = await reader.all([read(task.a, 0), read(task.b, 1)]);
      const before = tallies.get(task.index) ?? NO_DIFFERENCE;
      const tally = tallySegment(segment, aAt, bAt, job.tolerance, kernel);
      if (tally !== NO_DIFFERENCE) tallies.set(task.index, addTallies(before, tally));
      Atomics.add(job.shared.counts, BYTES_DONE, BigInt((count * bitsOf(task.a.dtype)) / 8));
    });
  } finally {
    reader.close();
  }
  return tallies;
}

/** `NO_DIFFERENCE` itself where no bit differs. */
function tallySegment(
  { run: { a, b }, first, count }: Segment<CompareTask>,
  aAt: number,
  bAt: number,
  tolerance: Tolerance | null,
  kernel: Kernel,
): Tally {
  const isSameDType = a.dtype === b.dtype;
  const block = blockElements(a.dtype);
  const size = (block * bitsOf(a.dtype)) / 8;
  const bytesAt = (at: number) => kernel.memory.subarray(at, at + (count / block) * size);
  const inBlocks = isSameDType ? tallyBits(bytesAt(aAt), bytesAt(bAt), size, first / block) : NO_DIFFERENCE;
  if (isSameDType && inBlocks.differentBits === 0) return NO_DIFFERENCE;
  const bits = { ...inBlocks, firstBits: inBlocks.firstBits * block };
  const x = numbers(a.dtype, aAt, A_FLOATS_AT, count, kernel);
  const y = numbers(b.dtype, bAt, B_FLOATS_AT, count, kernel);
  if (x === null || y === null) return bits;
  if (tolerance !== null || quantizedSide({ a, b }) === null)
    return addTallies(bits, tallyValues(x, y, tolerance ?? NO_TOLERANCE, first));
  const steps = stepsOf(a.dtype, aAt, count, kernel) ?? stepsOf(b.dtype, bAt, count, kernel);
  return tallyValues(x, y, NO_TOLERANCE, first, steps);
}

const NO_TOLERANCE: Tolerance = { absolute: 0, relative: 0 };

/** How far each number may be from what it was made of, by its block; null where it isn't quantized. */
function stepsOf(dtype: DType, at: number, count: number, { memory }: Kernel): Steps | null {
  if (!isQuantizedDType(dtype)) return null;
  const block = blockElements(dtype);
  const view = new DataView(memory.buffer, memory.byteOffset + at);
  const size = (block * bitsOf(dtype)) / 8;
  const most = Float64Array.from({ length: count / block }, (_, i) =>
    Math.abs(QUANTUM_ERRORS[dtype] * valueOfF16(view.getUint16(i * size, true))),
  );
  return { most, block };
}

/** The elements as numbers: float64 as it is, other floats as float32, which holds each of their values; else null. */
function numbers(dtype: DType, at: number, floatsAt: number, count: number, kernel: Kernel) {
  const { buffer, byteOffset } = kernel.memory;
  if (isQuantizedDType(dtype)) {
    const numbers = new Float32Array(buffer, byteOffset + floatsAt, count);
    dequantizeBlocks(dtype, kernel.memory.subarray(at), numbers, valueOfF16);
    return numbers;
  }
  if (!isFloatDType(dtype)) return null;
  if (dtype === "F64") return new Float64Array(buffer, byteOffset + at, count);
  if (dtype === "F32") return new Float32Array(buffer, byteOffset + at, count);
  kernel.convert(dtype, "F32", at, floatsAt, count);
  return new Float32Array(buffer, byteOffset + floatsAt, count);
}

function describe({ a, b }: TensorPair, tally: Tally): TensorComparison {
  const isFloat = holdsNumbers(a.dtype) && holdsNumbers(b.dtype);
  const isSameDType = a.dtype === b.dtype;
  const { shape } = wholeBytes(a);
  const indexAt = (at: number) => (Number.isFinite(at) ? indexOf(at, shape) : null);
  const largest = ({ difference, at, ...values }: Peak): Largest | null => {
    const index = indexAt(at);
    return index === null ? null : { difference, index, ...values };
  };
  return {
    name: a.name,
    shape: a.shape,
    dtypes: { a: a.dtype, b: b.dtype },
    elements: elementCount(a.shape),
    differentBits: isSameDType ? tally.differentBits : null,
    differentValues: isFloat ? tally.differentValues : null,
    beyondTolerance: isFloat ? tally.beyond : null,
    notFinite: tally.notFinite,
    first: indexAt(isSameDType ? tally.firstBits : tally.firstValue),
    largestAbsolute: largest(tally.absolute),
    largestRelative: largest(tally.relative),
  };
}
