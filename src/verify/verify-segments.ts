/** A worker's share of a verification: read a segment of the target, make its sum again, and compare. */
import { ElementReader } from "../files/element-reader.js";
import type { OpenView } from "../files/gather.js";
import { countDifferent } from "../kernel/count-different.js";
import type { Kernel } from "../kernel/kernel.js";
import { type CompiledKernel, instantiateKernel } from "../kernel/select.js";
import type { MergeTask } from "../merge/merge-tasks.js";
import {
  type LoadedSegment,
  loadSegment,
  REGION_BYTES,
  SUM_PLACE_BYTES,
  sumPlaceAt,
  targetSegment,
} from "../merge/sum-segment.js";
import {
  bitsOf,
  blockElements,
  bytesOf,
  type FloatDType,
  isQuantizedDType,
  type NumberDType,
} from "../tensor.js";
import {
  type Run,
  SEGMENTS_AT_ONCE,
  type SegmentedJob,
  stopWorkers,
  workOnSegments,
} from "../workers/segments.js";
import { countNotFinite } from "./count-not-finite.js";

/** What was found in elements of one tensor. */
export interface Findings {
  readonly nan: number;
  readonly infinite: number;
  /** Elements that aren't what they should be; of a block type, all elements of the blocks that aren't. */
  readonly different: number;
  /** The first of those in row-major order. */
  readonly difference: Difference | null;
  /** Sums that had to be rounded, where the right base needs no rounding. */
  readonly inexact: number;
}

export interface Difference {
  readonly element: number;
  readonly expected: string;
  readonly got: string;
}

/** A run of elements of one tensor of the target. */
export interface VerifyTask extends Run {
  /** Number of the tensor. */
  readonly tensor: number;
  readonly target: OpenView<NumberDType>;
  /** Where the run begins in the tensor. */
  readonly firstElement: number;
  /** How the elements are made; null where that isn't known. */
  readonly sum: MergeTask | null;
}

export interface VerifyJob extends SegmentedJob<VerifyTask> {
  readonly kernel: CompiledKernel;
}

/** The job's one counter. */
export const BYTES_DONE = 0;

/** Memory of a segment: what the target has, scratch to read it, and behind them the place of the sum. */
const PLACE_BYTES = 2 * REGION_BYTES + SUM_PLACE_BYTES;

/** By the number of the tensor. */
export type FindingsByTensor = Map<number, Findings>;

export const NOTHING: Findings = { nan: 0, infinite: 0, different: 0, difference: null, inexact: 0 };

export function addFindings(x: Findings, y: Findings): Findings {
  const isFirst =
    (x.difference?.element ?? Number.POSITIVE_INFINITY) <=
    (y.difference?.element ?? Number.POSITIVE_INFINITY);
  return {
    nan: x.nan + y.nan,
    infinite: x.infinite + y.infinite,
    different: x.different + y.different,
    inexact: x.inexact + y.inexact,
    difference: isFirst ? x.difference : y.difference,
  };
}

/** A worker's share. Throws what reading throws. */
export async function runJob(job: VerifyJob): Promise<FindingsByTensor> {
  const kernel = instantiateKernel(job.kernel, SEGMENTS_AT_ONCE * PLACE_BYTES);
  const reader = new ElementReader(() => stopWorkers(job.shared));
  const findings: FindingsByTensor = new Map();
  try {
    await workOnSegments(job, SEGMENTS_AT_ONCE, async ({ run: task, first, count }, number) => {
      const range = { first: task.firstElement + first, count };
      const loaded = await load(task, range, kernel.memory, number * PLACE_BYTES, reader);
      const before = findings.get(task.tensor) ?? NOTHING;
      findings.set(task.tensor, addFindings(before, verifySegment(loaded, kernel)));
      Atomics.add(job.shared.counts, BYTES_DONE, BigInt((count * bitsOf(task.target.dtype)) / 8));
    });
  } finally {
    reader.close();
  }
  return findings;
}

/** A segment with all it is compared with in memory. */
interface LoadedTask {
  /** The memory that is the segment's begins there. */
  readonly placeAt: number;
  readonly dtype: NumberDType;
  readonly first: number;
  readonly count: number;
  /** Where the target's elements are. */
  readonly gotAt: number;
  /** Null where nothing is compared. */
  readonly sum: LoadedSegment | null;
}

async function load(
  { sum, target }: VerifyTask,
  { first, count }: { readonly first: number; readonly count: number },
  memory: Uint8Array,
  placeAt: number,
  reader: ElementReader,
): Promise<LoadedTask> {
  const scratch = placeAt + REGION_BYTES;
  const place = sumPlaceAt(scratch + REGION_BYTES);
  const [gotAt, loaded] = await reader.all([
    reader.read(target, first, count, { memory, region: placeAt, scratch }, true),
    sum === null ? null : loadSegment({ task: sum, first, count, place }, memory, reader),
  ]);
  return { placeAt, dtype: target.dtype, first, count, gotAt, sum: loaded };
}

function verifySegment({ placeAt, dtype, first, count, gotAt, sum }: LoadedTask, kernel: Kernel): Findings {
  const { memory } = kernel;
  const block = blockElements(dtype);
  const blockBytes = (block * bitsOf(dtype)) / 8;
  const counts = countNotFinite(memory, dtype, gotAt, count);
  if (sum === null) return { ...NOTHING, ...counts };
  const { at: expectedAt, findings } = targetSegment(sum, kernel);
  const inexact = findings.find(({ kind }) => kind === "inexact")?.count ?? 0;
  const bytesAt = (at: number) => memory.subarray(at, at + (count / block) * blockBytes);
  const found = countDifferent(bytesAt(expectedAt), bytesAt(gotAt), blockBytes);
  if (found.different === 0) return { ...NOTHING, ...counts, inexact };
  const offset = found.first * blockBytes;
  const blockAt = (at: number) => memory.slice(at + offset, at + offset + blockBytes);
  const [expected, got] = [blockAt(expectedAt), blockAt(gotAt)];
  const text = (bytes: Uint8Array) =>
    isQuantizedDType(dtype) ? describeBlock(bytes) : describeNumber(bytes, dtype, kernel, placeAt);
  const difference = { element: first + found.first * block, expected: text(expected), got: text(got) };
  return { ...counts, different: found.different * block, difference, inexact };
}

/** Its bytes, as in the file: the scale, then the quanta. */
function describeBlock(bytes: Uint8Array): string {
  return `the block ${Buffer.from(bytes).toString("hex")}`;
}

/** `0.5 (0x3800)`. Writes over a few bytes of memory at `at`. */
function describeNumber(bytes: Uint8Array, dtype: FloatDType, kernel: Kernel, at: number): string {
  const { memory } = kernel;
  const floatAt = at + bytesOf("F64");
  memory.set(bytes, at);
  kernel.convert(dtype, "F32", at, floatAt, 1);
  const number = new DataView(memory.buffer, memory.byteOffset).getFloat32(floatAt, true);
  return `${number} (0x${Buffer.from(bytes).reverse().toString("hex")})`;
}
