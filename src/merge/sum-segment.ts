/**
 * The arithmetic of a segment: what the target has there, in the kernel's memory. No element is allocated: inputs are
 * read straight into the memory's regions, and summed from where they begin there.
 */

import { findDamage } from "../base-check/damage.js";
import { PAGE_BYTES } from "../files/direct.js";
import type { ElementReader } from "../files/element-reader.js";
import { gather, type OpenView } from "../files/gather.js";
import { READ_MARGIN_BYTES } from "../files/reader.js";
import type { Kernel } from "../kernel/kernel.js";
import { FORMAT_BITS } from "../kernel/reference.js";
import type { FindingKind } from "../target/findings.js";
import {
  bitsOf,
  blockElements,
  bytesOf,
  type DType,
  isQuantizedDType,
  type QuantizedDType,
  type SumDType,
  type TargetDType,
} from "../tensor.js";
import { LARGEST_SEGMENT_BYTES } from "../workers/segments.js";
import { describeDamage } from "./damage-findings.js";
import type { SegmentFinding } from "./findings.js";
import { isCopy, isRepeatedRow, type MergeTask, type SumTask } from "./merge-tasks.js";
import { countLosses } from "./rounding-losses.js";

/** The largest segment with the pages it lies in, and more than `SCRATCH_BYTES`; the system gives what is used of it. */
export const REGION_BYTES = LARGEST_SEGMENT_BYTES + READ_MARGIN_BYTES;

/**
 * Regions of memory: two are read into, and two are scratch for that. The last is only used for a delta that isn't dense.
 */
export interface SumPlace {
  readonly base: number;
  readonly delta: number;
  readonly free: number;
  readonly spare: number;
}

export const SUM_PLACE_BYTES = 4 * REGION_BYTES;

/** The place that begins at `at`, a multiple of a page. */
export function sumPlaceAt(at: number): SumPlace {
  const [base, delta, free, spare] = [0, 1, 2, 3].map((region) => at + region * REGION_BYTES);
  return { base, delta, free, spare } as SumPlace;
}

/** Elements [first, first + count) of a task's tensor, and where they are worked on. */
interface Segment<Task extends MergeTask = MergeTask> {
  readonly task: Task;
  readonly first: number;
  readonly count: number;
  readonly place: SumPlace;
}

/** A segment whose inputs are in memory; null where it has no such input. */
export interface LoadedSegment<Task extends MergeTask = MergeTask> extends Segment<Task> {
  readonly baseAt: number | null;
  readonly deltaAt: number | null;
}

/** Reads what a segment is made of, both sides at once. Throws what reading throws. */
export async function loadSegment(
  segment: Segment,
  memory: Uint8Array,
  reader: ElementReader,
): Promise<LoadedSegment> {
  const { task, first, count, place } = segment;
  const read = async (view: OpenView<DType> | null, region: number, scratch: number) =>
    view === null ? null : await reader.read(view, first, count, { memory, region, scratch });
  const readBase = (view: OpenView<DType> | null) => read(view, place.base, place.free);
  if (isCopy(task)) return { ...segment, baseAt: await readBase(task.copied), deltaAt: null };
  const base = task.base === null || isRepeatedRow(task.base) ? null : task.base;
  // In the order of `inputsOf`.
  const [deltaAt, baseAt] = await reader.all([read(task.delta, place.delta, place.spare), readBase(base)]);
  return { ...segment, baseAt, deltaAt };
}

export interface SegmentResult {
  /** Where the elements are. */
  readonly at: number;
  readonly findings: readonly SegmentFinding[];
}

const NOTHING: readonly SegmentFinding[] = [];

/**
 * Leaves the segment's elements, as they stand in the target, in one of the place's regions, and counts. What is made
 * there begins at `inPage` of a page, as in the target's file, so nothing is moved to be written past the page cache.
 */
export function targetSegment(loaded: LoadedSegment, kernel: Kernel, inPage = 0): SegmentResult {
  const { task, count, place } = loaded;
  if (isCopy(task)) return { at: loaded.baseAt as number, findings: NOTHING };
  const isSum = task.dtype === task.sumDType;
  const segment = { ...loaded, task, kernel, sumInPage: isSum ? inPage : 0 };
  const { at, findings } = sumSegment(segment);
  if (isSum) return { at, findings };
  const narrowAt = (regionOf(at) === place.delta ? place.free : place.delta) + inPage;
  if (isQuantizedDType(task.dtype)) quantize(segment, task.dtype, at, narrowAt);
  else kernel.convert(task.sumDType, task.dtype, at, narrowAt, count);
  const canOverflow = task.dtype === "F16" || (isQuantizedDType(task.dtype) && task.sumDType !== "F16");
  const made = canOverflow ? countOverflow(segment, at, narrowAt) : NOTHING;
  return { at: narrowAt, findings: [...findings, ...made] };
}

interface SumSegment extends LoadedSegment<SumTask> {
  readonly kernel: Kernel;
  /** Where in its page the sum begins. */
  readonly sumInPage: number;
}

/** Where the region of an input or a sum begins. */
function regionOf(at: number): number {
  return at - (at % PAGE_BYTES);
}

/** What is quantized at a time: as F32 no more than the processor's nearest caches hold. */
const QUANTIZED_ELEMENTS = 8192;

/** Quantizes the sums at `at`, by way of the region that is left. */
function quantize(segment: SumSegment, to: QuantizedDType, at: number, blocksAt: number): void {
  const { task, count, place, kernel } = segment;
  const isFree = (region: number) => region !== regionOf(at) && region !== regionOf(blocksAt);
  const floatsAt = Object.values(place).find(isFree) as number;
  for (let done = 0; done < count; done += QUANTIZED_ELEMENTS) {
    const some = Math.min(QUANTIZED_ELEMENTS, count - done);
    kernel.convert(task.sumDType, "F32", at + done * bytesOf(task.sumDType), floatsAt, some);
    kernel.quantize(to, floatsAt, blocksAt + (done * bitsOf(to)) / 8, some);
  }
}

/** The same in `task.sumDType`. */
function sumSegment(segment: SumSegment): SegmentResult {
  const { task, count, place, kernel, sumInPage } = segment;
  const { base, delta, sumDType, scale, operation } = task;
  const findings: SegmentFinding[] = [];
  if (delta === null) return { at: takeBase(segment, base as OpenView, findings), findings };
  const deltaAt = takeSide(segment, delta, "delta", segment.deltaAt as number, findings);
  if (base === null) return { at: deltaAt, findings };
  if (scale !== 1) multiply(segment, deltaAt);
  const baseAt = isRepeatedRow(base) ? fillWithRow(segment, base.row) : takeBase(segment, base, findings);
  // A base that was widened has left its own region.
  const freeAt = (regionOf(baseAt) === place.free ? place.base : place.free) + sumInPage;
  const sides = { baseAt, deltaAt, freeAt };
  if (operation === "subtract") return difference(segment, sides, findings);
  const { inexact, notFinite } = kernel.add(sumDType, baseAt, deltaAt, freeAt, count);
  if (inexact > 0 && task.isProof) findings.push({ kind: "inexact", count: inexact, first: segment.first });
  if (notFinite > 0) {
    // A scaled delta is another number.
    const deltaDType = scale === 1 ? sumDType : readAgain(segment, delta, deltaAt);
    findings.push(
      ...findNotFinite(segment, {
        base: [sumDType, baseAt],
        delta: [deltaDType, deltaAt],
        sum: [sumDType, freeAt],
      }),
    );
  }
  return { at: freeAt, findings };
}

interface Sides {
  readonly baseAt: number;
  readonly deltaAt: number;
  readonly freeAt: number;
}

/** Takes the base from the tuned model, adds the difference to the base again and compares. Uses the base up. */
function difference(
  segment: SumSegment,
  { baseAt, deltaAt: tunedAt, freeAt: at }: Sides,
  findings: SegmentFinding[],
): SegmentResult {
  const { task, first, count, kernel } = segment;
  const { sumDType } = task;
  kernel.subtract(sumDType, tunedAt, baseAt, at, count);
  const { notFinite } = kernel.add(sumDType, baseAt, at, baseAt, count);
  const lost = countLosses(sumDType, kernel.memory, tunedAt, baseAt, count);
  if (lost.elements > 0) {
    findings.push({ kind: "lost", count: lost.elements, first: first + lost.first });
    if (lost.zeroSigns > 0)
      findings.push({ kind: "lost-zero-sign", count: lost.zeroSigns, first: first + lost.first });
  }
  if (notFinite > 0 && task.base !== null && !isRepeatedRow(task.base)) {
    const baseDType = readAgain(segment, task.base, baseAt);
    findings.push(
      ...findNotFinite(segment, {
        base: [baseDType, baseAt],
        delta: [sumDType, tunedAt],
        sum: [sumDType, at],
      }),
    );
  }
  return { at, findings };
}

const takeBase = (segment: SumSegment, view: OpenView, findings: SegmentFinding[]) =>
  takeSide(segment, view, "base", segment.baseAt as number, findings);

/** Looks for what can't be weights in a side's elements, and rounds them to the sum's dtype. Gives where they are. */
function takeSide(
  { task, first, count, place, kernel }: SumSegment,
  view: OpenView,
  side: "base" | "delta",
  from: number,
  findings: SegmentFinding[],
): number {
  const { sumDType, rowElements } = task;
  const damage = findDamage(kernel.memory, from, count * bytesOf(view.dtype));
  if (damage.firstText !== null || damage.zeroRuns.length > 0)
    findings.push(...describeDamage(damage, side, first, bytesOf(view.dtype), rowElements));
  if (view.dtype === sumDType) return from;
  // Narrowing works in place. Only a base is ever widened, and its narrow elements are used up by that.
  const at = bytesOf(sumDType) > bytesOf(view.dtype) ? place.free : from;
  kernel.convert(view.dtype, sumDType, from, at, count);
  return at;
}

/** Reads a side once more to where it was, rounded to the sum's dtype unless that is wider. Gives the dtype it has. */
function readAgain({ task, first, count, kernel }: SumSegment, view: OpenView, at: number): SumDType {
  gather(view, first, count, kernel.memory, at);
  if (bytesOf(view.dtype) < bytesOf(task.sumDType)) return view.dtype as SumDType;
  kernel.convert(view.dtype, task.sumDType, at, at, count);
  return task.sumDType;
}

/** Which of the numbers behind sums that aren't finite weren't either. All are in memory. */
function findNotFinite(
  { first, count, kernel }: SumSegment,
  numbers: Readonly<Record<"base" | "delta" | "sum", readonly [dtype: SumDType, at: number]>>,
): SegmentFinding[] {
  const test = ([dtype, at]: readonly [SumDType, number]) => finiteTest(dtype, kernel.memory, at, count);
  const [base, delta, sum] = [test(numbers.base), test(numbers.delta), test(numbers.sum)];
  const found = new Map<FindingKind, SegmentFinding>();
  const add = (kind: FindingKind, i: number) => {
    const before = found.get(kind) ?? { count: 0, first: first + i };
    found.set(kind, { kind, count: before.count + 1, first: before.first });
  };
  for (let i = 0; i < count; i++) {
    if (sum(i)) continue;
    if (!base(i)) add("base-not-finite", i);
    if (!delta(i)) add("delta-not-finite", i);
    if (base(i) && delta(i)) add("made-not-finite", i);
  }
  return [...found.values()];
}

/** Whether the element of a number is finite; of a block type, its block's scale. */
function finiteTest(
  dtype: TargetDType,
  memory: Uint8Array,
  at: number,
  count: number,
): (i: number) => boolean {
  if (isQuantizedDType(dtype)) {
    const view = new DataView(memory.buffer, memory.byteOffset + at, (count * bitsOf(dtype)) / 8);
    return (i) => (view.getUint16((i * bitsOf(dtype)) / 8, true) & 0x7fff) < FORMAT_BITS.F16.infinity;
  }
  const { magnitude, infinity } = FORMAT_BITS[dtype];
  const bits =
    dtype === "F32"
      ? new Uint32Array(memory.buffer, memory.byteOffset + at, count)
      : new Uint16Array(memory.buffer, memory.byteOffset + at, count);
  return (i) => ((bits[i] as number) & magnitude) < infinity;
}

/** Infinities that a narrower dtype makes of finite numbers; of a block type, the blocks with one for a scale. */
function countOverflow(
  { task, first, count, kernel }: SumSegment,
  at: number,
  narrowAt: number,
): SegmentFinding[] {
  const wasFinite = finiteTest(task.sumDType, kernel.memory, at, count);
  const staysFinite = finiteTest(task.dtype, kernel.memory, narrowAt, count);
  const step = blockElements(task.dtype);
  const wereFinite = (i: number) => Array.from({ length: step }, (_, k) => i + k).every(wasFinite);
  let made = 0;
  let place = 0;
  for (let i = 0; i < count; i += step) {
    if (staysFinite(i) || !wereFinite(i)) continue;
    if (made++ === 0) place = first + i;
  }
  return made === 0 ? [] : [{ kind: "made-not-finite", count: made, first: place }];
}

/** Multiplies in place as PyTorch 2 does: in float32, the factor rounded to float32, the product to the dtype. */
function multiply({ task, count, place, kernel }: SumSegment, at: number): void {
  const { sumDType, scale } = task;
  const floatsAt = sumDType === "F32" ? at : place.free;
  if (sumDType !== "F32") kernel.convert(sumDType, "F32", at, floatsAt, count);
  const floats = new Float32Array(kernel.memory.buffer, kernel.memory.byteOffset + floatsAt, count);
  const rounded = Math.fround(scale);
  for (let i = 0; i < count; i++) floats[i] = (floats[i] as number) * rounded;
  if (sumDType !== "F32") kernel.convert("F32", sumDType, floatsAt, at, count);
}

/** Fills the base's region with a row, again and again, as it stands at the segment's place in the tensor. */
function fillWithRow({ task, first, count, place, kernel }: SumSegment, row: Uint8Array): number {
  const byteLength = count * bytesOf(task.sumDType);
  let from = (first * bytesOf(task.sumDType)) % row.length;
  for (let done = 0; done < byteLength; ) {
    const piece = row.subarray(from, from + byteLength - done);
    kernel.memory.set(piece, place.base + done);
    done += piece.length;
    from = 0;
  }
  return place.base;
}
