/**
 * Samples base and delta: is the base the one the delta was made from? The argument is in docs/base-check.md: where
 * |d| <= |b|/2, the subtraction that made d was exact (Sterbenz), so b + d is a value of the format, or b is not the
 * base.
 */

import { gather, type OpenView, openView } from "../files/gather.js";
import { noPause, type Pause } from "../interrupt.js";
import type { Kernel } from "../kernel/kernel.js";
import { instantiateKernel } from "../kernel/select.js";
import { bytesOf, type FloatDType, type SumDType } from "../tensor.js";
import type { Sample } from "../workers/sample.js";
import type { BaseStatistics } from "./documents.js";
import {
  type PairJob,
  pairViews,
  rangesOfRuns,
  type SampledRun,
  sharedCount,
  type View,
  type ViewPair,
} from "./sampled-pairs.js";

/** Elements sampled in all, shared out evenly over the matrices: 16 MB of each side in float16. */
const SAMPLE_ELEMENTS = 4 * 1024 * 1024;

/** Places in each matrix where a run is sampled, so that no part of it goes unseen. */
const RUNS_PER_TENSOR = 4;

/** Longest run; also what the kernel's memory is sized by. */
const MAX_RUN_ELEMENTS = 16 * 1024;

/** The kernel's memory: a run of each side and of the sum, in the sum's dtype and as float32. */
const REGION_BYTES = MAX_RUN_ELEMENTS * 4;
const [BASE_AT, DELTA_AT, SUM_AT, BASE_F32_AT, DELTA_F32_AT, SUM_F32_AT, WORK_AT] = [0, 1, 2, 3, 4, 5, 6].map(
  (region) => region * REGION_BYTES,
) as [number, number, number, number, number, number, number];

/** What a kernel for `sampleBase` needs; the last region holds a run as it is read, in float64 perhaps. */
export const BASE_SAMPLE_MEMORY_BYTES = WORK_AT + 2 * REGION_BYTES;

/** Narrowest first. */
const FORMATS = ["BF16", "F16", "F32"] as const satisfies readonly SumDType[];

/** The formats that a delta of each dtype can have been made in. */
const MADE_IN: Record<SumDType, readonly SumDType[]> = { BF16: ["BF16"], F16: ["BF16", "F16"], F32: FORMATS };

/** The narrower ones of them. */
function narrowerThan(dtype: SumDType): readonly SumDType[] {
  return MADE_IN[dtype].filter((format) => format !== dtype);
}

/** Of sums of float32 numbers, all but one in 16 have one of these bits set; of sums of 16-bit numbers hardly any. */
const LAST_BITS = 0xf;

/** If fewer sums than this share have one, they were not float32's own, and that they are exact there proves nothing. */
const FINE_SHARE = 0.5;

export const baseSample: Sample<PairJob, BaseStatistics> = {
  module: import.meta.url,
  runJob,
  rangesOf: ({ base, other }) => rangesOfRuns(baseRuns(matrixPairs(base, other))),
};

export function runJob({ base, other, kernel }: PairJob, pause = noPause): Promise<BaseStatistics> {
  return sampleBase(base, other, instantiateKernel(kernel, BASE_SAMPLE_MEMORY_BYTES), pause);
}

/** Samples every matrix that both sides have, with a pause before each run. Reads some tens of MB at most. */
export async function sampleBase(
  base: readonly View[],
  delta: readonly View[],
  kernel: Kernel,
  pause: Pause,
): Promise<BaseStatistics> {
  const tally = new Tally(kernel);
  const pairs = matrixPairs(base, delta);
  for (const { pair, first, count } of baseRuns(pairs)) {
    await pause();
    tally.add(openView(pair[0]), openView(pair[1]), first, count);
  }
  return tally.statistics(pairs.length);
}

function* baseRuns(pairs: readonly ViewPair[]): Generator<SampledRun> {
  const perRun = Math.ceil(SAMPLE_ELEMENTS / Math.max(1, pairs.length) / RUNS_PER_TENSOR);
  const runLength = Math.min(MAX_RUN_ELEMENTS, perRun);
  for (const pair of pairs) {
    const total = sharedCount(pair);
    const count = Math.min(runLength, Math.ceil(total / RUNS_PER_TENSOR));
    for (let run = 0; run < RUNS_PER_TENSOR; run++) {
      const first = Math.floor(((total - count) * run) / (RUNS_PER_TENSOR - 1));
      yield { pair, first, count };
    }
  }
}

/** Matrices of the same width. */
function matrixPairs(base: readonly View[], delta: readonly View[]): ViewPair[] {
  const isMatrix = ({ shape }: View) => shape.length === 2;
  return pairViews(base, delta, (a, b) => isMatrix(a) && isMatrix(b) && a.shape[1] === b.shape[1]);
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The bits of a number as float32. */
function bitsOfFloat32(value: number): number {
  scratch[0] = value;
  return scratchBits[0] as number;
}

/** Whether a float32 number is one the format has. */
const HAS: Record<SumDType, (value: number) => boolean> = {
  /** bfloat16 is the upper half of a float32. */
  BF16: (value) => (bitsOfFloat32(value) & 0xffff) === 0,
  /** Below 2^-14 float16 has the multiples of 2^-24, above it 10 bits of mantissa. */
  F16: (value) =>
    Math.abs(value) < 2 ** -14
      ? Number.isInteger(value * 2 ** 24)
      : (bitsOfFloat32(value) & 0x1fff) === 0 && Math.abs(value) <= 65504,
  F32: () => true,
};

class Tally {
  #sampled = 0;
  #comparable = 0;
  #baseSquares = 0;
  #deltaSquares = 0;
  #products = 0;
  /** Comparable pairs of float32 numbers, and how many of their sums have one of the last bits set. */
  readonly #float32 = { comparable: 0, fine: 0 };
  /** Whether either side is stored in more than bfloat16 has. */
  #isWider = false;
  readonly #madeIn = new Set<SumDType>();
  readonly #inexact: Record<SumDType, number> = { BF16: 0, F16: 0, F32: 0 };
  readonly #baseFits: Record<SumDType, boolean> = { BF16: true, F16: true, F32: true };

  constructor(readonly kernel: Kernel) {}

  add(base: OpenView, delta: OpenView, first: number, count: number): void {
    const dtype: SumDType = delta.dtype === "F64" ? "F32" : delta.dtype;
    const { memory } = this.kernel;
    this.#read(base, dtype, first, count, BASE_AT);
    this.#read(delta, dtype, first, count, DELTA_AT);
    memory.copyWithin(SUM_AT, DELTA_AT, DELTA_AT + count * bytesOf(dtype));
    this.kernel.add(dtype, BASE_AT, SUM_AT, SUM_AT, count);
    const b = this.#asFloat32(dtype, BASE_AT, BASE_F32_AT, count);
    const d = this.#asFloat32(dtype, DELTA_AT, DELTA_F32_AT, count);
    const sum = this.#asFloat32(dtype, SUM_AT, SUM_F32_AT, count);
    const inexact = this.#countRun(dtype, b, d, sum);
    // In wider formats than the sums', those that aren't exact here aren't either.
    for (const format of FORMATS) if (!narrowerThan(dtype).includes(format)) this.#inexact[format] += inexact;
    for (const format of MADE_IN[dtype]) this.#madeIn.add(format);
    if (base.dtype !== "BF16" && dtype !== "BF16") this.#isWider = true;
  }

  statistics(tensors: number): BaseStatistics {
    const norm = Math.sqrt(this.#baseSquares * this.#deltaSquares);
    const isCoarse = this.#float32.fine < FINE_SHARE * this.#float32.comparable;
    const formats = FORMATS.filter(
      (format) => this.#madeIn.has(format) && this.#baseFits[format] && !(format === "F32" && isCoarse),
    );
    return {
      tensors,
      sampled: this.#sampled,
      comparable: this.#comparable,
      formats: formats.map((dtype) => ({ dtype, inexact: this.#inexact[dtype] })),
      baseRms: Math.sqrt(this.#baseSquares / Math.max(1, this.#sampled)),
      deltaRms: Math.sqrt(this.#deltaSquares / Math.max(1, this.#sampled)),
      correlation: norm === 0 ? 0 : this.#products / norm,
      baseIsBFloat16: this.#isWider && this.#baseFits.BF16,
    };
  }

  /** Counts a run of pairs and their sums in `dtype`; gives the number of comparable ones that aren't exact. */
  #countRun(dtype: SumDType, bases: Float32Array, deltas: Float32Array, sums: Float32Array): number {
    const narrower = narrowerThan(dtype).filter((format) => this.#baseFits[format]);
    let inexact = 0;
    for (let i = 0; i < bases.length; i++) {
      const b = bases[i] as number;
      const d = deltas[i] as number;
      if (!Number.isFinite(b) || !Number.isFinite(d)) continue;
      this.#sampled++;
      this.#baseSquares += b * b;
      this.#deltaSquares += d * d;
      this.#products += b * d;
      for (const format of narrower)
        if (this.#baseFits[format] && !HAS[format](b)) this.#baseFits[format] = false;
      if (d === 0 || Math.abs(d) > Math.abs(b) / 2) continue;
      this.#comparable++;
      const rounded = sums[i] as number;
      // The rounded sum lies within [b/2, 2b], so this difference has no rounding of its own.
      const isExact = rounded - b === d;
      if (!isExact) inexact++;
      for (const format of narrower) {
        if (this.#baseFits[format] && !(isExact && HAS[format](rounded))) this.#inexact[format]++;
      }
      if (dtype !== "F32") continue;
      this.#float32.comparable++;
      if ((bitsOfFloat32(rounded) & LAST_BITS) !== 0) this.#float32.fine++;
    }
    return inexact;
  }

  #read(view: OpenView, dtype: SumDType, first: number, count: number, at: number): void {
    gather(view, first, count, this.kernel.memory, WORK_AT);
    this.#convert(view.dtype, dtype, WORK_AT, at, count);
  }

  #asFloat32(dtype: SumDType, at: number, floatsAt: number, count: number): Float32Array {
    this.#convert(dtype, "F32", at, floatsAt, count);
    return new Float32Array(this.kernel.memory.buffer, this.kernel.memory.byteOffset + floatsAt, count);
  }

  #convert(from: FloatDType, to: SumDType, source: number, destination: number, count: number): void {
    const { memory } = this.kernel;
    if (from === to) memory.copyWithin(destination, source, source + count * bytesOf(to));
    else this.kernel.convert(from, to, source, destination, count);
  }
}
