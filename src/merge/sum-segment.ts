/**
 * The arithmetic of a segment: what the target has there, in the kernel's memory. No element is allocated: inputs are
 * read straight into the memory's regions.
 */

import { findDamage } from "../base-check/damage.js";
import { gather, type OpenView } from "../files/gather.js";
import type { Kernel } from "../kernel/kernel.js";
import { FORMAT_BITS } from "../kernel/reference.js";
import type { FindingKind } from "../target/findings.js";
import { bytesOf, type SumDType } from "../tensor.js";
import { SEGMENT_BYTES } from "../workers/segments.js";
import { describeDamage } from "./damage-findings.js";
import type { SegmentFinding } from "./findings.js";
import { isCopy, isRepeatedRow, type MergeTask, type SumTask } from "./merge-tasks.js";
import { countLosses } from "./rounding-losses.js";

const BASE_REGION = 0;
const DELTA_REGION = SEGMENT_BYTES;

/** A region the sum never ends in: free for what becomes of it. */
const RESULT_REGION = 2 * SEGMENT_BYTES;

/** What a kernel for `targetSegment` needs: three regions of a segment each. */
export const SUM_MEMORY_BYTES = 3 * SEGMENT_BYTES;

export interface SegmentResult {
  /** Where the elements are. */
  readonly at: number;
  readonly findings: readonly SegmentFinding[];
}

const NOTHING: readonly SegmentFinding[] = [];

/** Leaves elements [first, first + count) of the tensor, as they stand in the target, in memory, and counts. */
export function targetSegment(task: MergeTask, first: number, count: number, kernel: Kernel): SegmentResult {
  if (isCopy(task)) {
    gather(task.copied, first, count, kernel.memory, BASE_REGION);
    return { at: BASE_REGION, findings: NOTHING };
  }
  const segment = { task, first, count, kernel };
  const { at, findings } = sumSegment(segment);
  if (task.dtype === task.sumDType) return { at, findings };
  kernel.convert(task.sumDType, task.dtype, at, RESULT_REGION, count);
  const made = task.dtype === "F16" ? countOverflow(segment, at, RESULT_REGION) : NOTHING;
  return { at: RESULT_REGION, findings: [...findings, ...made] };
}

/** A run of elements of one task. */
interface Segment {
  readonly task: SumTask;
  readonly first: number;
  readonly count: number;
  readonly kernel: Kernel;
}

/** The same in `task.sumDType`. */
function sumSegment(segment: Segment): SegmentResult {
  const { task, first, count, kernel } = segment;
  const { base, delta, sumDType, scale, operation } = task;
  const findings: SegmentFinding[] = [];
  if (delta === null) return { at: readBase(segment, base as OpenView, findings), findings };
  const deltaAt = readSide(segment, delta, "delta", DELTA_REGION, findings);
  if (base === null) return { at: deltaAt, findings };
  if (scale !== 1) multiply(sumDType, deltaAt, count, scale, kernel);
  let baseAt = BASE_REGION;
  if (isRepeatedRow(base))
    fillWithRow(base.row, first * bytesOf(sumDType), count * bytesOf(sumDType), kernel);
  else baseAt = readBase(segment, base, findings);
  if (operation === "subtract") return difference(segment, deltaAt, baseAt, findings);
  const { inexact, notFinite } = kernel.add(sumDType, baseAt, deltaAt, deltaAt, count);
  if (inexact > 0 && task.isProof) findings.push({ kind: "inexact", count: inexact, first });
  if (notFinite > 0) {
    const free = baseAt === BASE_REGION ? RESULT_REGION : BASE_REGION;
    const again = readAgain(segment, delta, free);
    findings.push(...findNotFinite(segment, { base: baseAt, delta: again, sum: deltaAt }));
  }
  return { at: deltaAt, findings };
}

/** Takes the base from the tuned model, adds the difference to the base again and compares. Uses the base up. */
function difference(
  segment: Segment,
  tunedAt: number,
  baseAt: number,
  findings: SegmentFinding[],
): SegmentResult {
  const { task, first, count, kernel } = segment;
  const { sumDType } = task;
  // The base is in one of two regions; the other is free.
  const at = baseAt === BASE_REGION ? RESULT_REGION : BASE_REGION;
  kernel.subtract(sumDType, tunedAt, baseAt, at, count);
  const { notFinite } = kernel.add(sumDType, baseAt, at, baseAt, count);
  const lost = countLosses(sumDType, kernel.memory, tunedAt, baseAt, count);
  if (lost.elements > 0) {
    findings.push({ kind: "lost", count: lost.elements, first: first + lost.first });
    if (lost.zeroSigns > 0)
      findings.push({ kind: "lost-zero-sign", count: lost.zeroSigns, first: first + lost.first });
  }
  if (notFinite > 0 && task.base !== null && !isRepeatedRow(task.base)) {
    const base = readAgain(segment, task.base, baseAt);
    findings.push(...findNotFinite(segment, { base, delta: tunedAt, sum: at }));
  }
  return { at, findings };
}

const readBase = (segment: Segment, view: OpenView, findings: SegmentFinding[]) =>
  readSide(segment, view, "base", BASE_REGION, findings);

/** Reads a side's elements, rounds them to the sum's dtype, and looks for what can't be weights. Gives where they are. */
function readSide(
  { task, first, count, kernel }: Segment,
  view: OpenView,
  side: "base" | "delta",
  region: number,
  findings: SegmentFinding[],
): number {
  const { sumDType, rowElements } = task;
  gather(view, first, count, kernel.memory, region);
  const damage = findDamage(kernel.memory, region, count * bytesOf(view.dtype));
  if (damage.firstText !== null || damage.zeroRuns.length > 0)
    findings.push(...describeDamage(damage, side, first, bytesOf(view.dtype), rowElements));
  if (view.dtype === sumDType) return region;
  // Narrowing works in place. Only a base is ever widened, and it is used up before the result is needed.
  const at = bytesOf(sumDType) > bytesOf(view.dtype) ? RESULT_REGION : region;
  kernel.convert(view.dtype, sumDType, region, at, count);
  return at;
}

/** Reads a side once more, rounded to the sum's dtype, into a region that is free. */
function readAgain({ task, first, count, kernel }: Segment, view: OpenView, region: number): number {
  gather(view, first, count, kernel.memory, region);
  if (view.dtype !== task.sumDType) kernel.convert(view.dtype, task.sumDType, region, region, count);
  return region;
}

/** Which of the numbers behind sums that aren't finite weren't either. All are in memory, in the sum's dtype. */
function findNotFinite(
  { task, first, count, kernel }: Segment,
  at: { readonly base: number; readonly delta: number; readonly sum: number },
): SegmentFinding[] {
  const isFiniteAt = (place: number) => finiteTest(task.sumDType, kernel.memory, place, count);
  const [base, delta, sum] = [isFiniteAt(at.base), isFiniteAt(at.delta), isFiniteAt(at.sum)];
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

/** Whether the element of a number is finite. */
function finiteTest(dtype: SumDType, memory: Uint8Array, at: number, count: number): (i: number) => boolean {
  const { magnitude, infinity } = FORMAT_BITS[dtype];
  const bits =
    dtype === "F32"
      ? new Uint32Array(memory.buffer, memory.byteOffset + at, count)
      : new Uint16Array(memory.buffer, memory.byteOffset + at, count);
  return (i) => ((bits[i] as number) & magnitude) < infinity;
}

/** Infinities that a narrower dtype makes of finite numbers. */
function countOverflow(
  { task, first, count, kernel }: Segment,
  at: number,
  narrowAt: number,
): SegmentFinding[] {
  const wasFinite = finiteTest(task.sumDType, kernel.memory, at, count);
  const staysFinite = finiteTest(task.dtype, kernel.memory, narrowAt, count);
  let made = 0;
  let place = 0;
  for (let i = 0; i < count; i++) {
    if (staysFinite(i) || !wasFinite(i)) continue;
    if (made++ === 0) place = first + i;
  }
  return made === 0 ? [] : [{ kind: "made-not-finite", count: made, first: place }];
}

/** Multiplies in place as PyTorch 2 does: in float32, the factor rounded to float32, the product to the dtype. */
function multiply(dtype: SumDType, at: number, count: number, factor: number, kernel: Kernel): void {
  const floatsAt = dtype === "F32" ? at : RESULT_REGION;
  if (dtype !== "F32") kernel.convert(dtype, "F32", at, floatsAt, count);
  const floats = new Float32Array(kernel.memory.buffer, kernel.memory.byteOffset + floatsAt, count);
  const rounded = Math.fround(factor);
  for (let i = 0; i < count; i++) floats[i] = (floats[i] as number) * rounded;
  if (dtype !== "F32") kernel.convert("F32", dtype, floatsAt, at, count);
}

/** Fills the base's region with a row, again and again, as it stands at a position of the tensor. */
function fillWithRow(row: Uint8Array, positionBytes: number, byteLength: number, kernel: Kernel): void {
  let from = positionBytes % row.length;
  for (let done = 0; done < byteLength; ) {
    const piece = row.subarray(from, from + byteLength - done);
    kernel.memory.set(piece, BASE_REGION + done);
    done += piece.length;
    from = 0;
  }
}
