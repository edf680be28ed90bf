/**
 * What a sample says of one tensor: sizes, exactness of sums, what isn't finite, what can't be weights. The argument is
 * in docs/base-check.md: where |d| <= |b|/2, the subtraction that made d was exact (Sterbenz), so b + d is a value of
 * the format, or b is not the base.
 */
import { gather, type OpenView } from "../files/gather.js";
import type { Kernel } from "../kernel/kernel.js";
import { FORMAT_BITS, isComparable } from "../kernel/reference.js";
import { bytesOf, type FloatDType, type SumDType } from "../tensor.js";
import { type Damage, findDamage } from "./damage.js";
import { MAX_RUN_ELEMENTS } from "./sampled-pairs.js";

/** The kernel's memory: a run of each side and of the sum, in the sum's dtype and as float32. */
const REGION_BYTES = MAX_RUN_ELEMENTS * 4;
const [BASE_AT, DELTA_AT, SUM_AT, BASE_F32_AT, DELTA_F32_AT, SUM_F32_AT, WORK_AT] = [0, 1, 2, 3, 4, 5, 6].map(
  (region) => region * REGION_BYTES,
) as [number, number, number, number, number, number, number];

/** What a kernel for `TensorTally` needs; the last region holds a run as it is read, in float64 perhaps. */
export const SAMPLE_MEMORY_BYTES = WORK_AT + 2 * REGION_BYTES;

/** Narrowest first. */
export const FORMATS = ["BF16", "F16", "F32"] as const satisfies readonly SumDType[];

/** The formats that a delta of each dtype can have been made in. */
export const MADE_IN: Record<SumDType, readonly SumDType[]> = {
  BF16: ["BF16"],
  F16: ["BF16", "F16"],
  F32: FORMATS,
};

/** Of sums of float32 numbers, all but one in 16 have one of these bits set; of sums of 16-bit numbers hardly any. */
const LAST_BITS = 0xf;

/** What was found in one side of a tensor. */
export interface SideFindings {
  /** Sum of the squares of the finite pairs. */
  squares: number;
  /** Infinities and NaN. */
  notFinite: number;
  /** The first of them in row-major order; -1: there is none. */
  firstNotFinite: number;
  /** Bytes in runs of zeros that are longer than weights have them. */
  zeroBytes: number;
  /** The first element of the first such run; -1: there is none. */
  firstZero: number;
  /** Places that were looked at, and those that are zero outside of runs. */
  places: number;
  scatteredZeros: number;
  /** Places that hold text, and the first element of the first; -1: there is none. */
  textPlaces: number;
  firstText: number;
}

/** What sampling one tensor found until now. */
export interface TensorSample {
  readonly name: string;
  /** The dtype the sum is made in. */
  readonly dtype: SumDType;
  readonly isMatrix: boolean;
  /** Pairs of finite elements. */
  sampled: number;
  /** Of those, the pairs the lemma speaks of: see `SumCounts`. */
  comparable: number;
  /** For each format that the delta can have been made in: comparable pairs whose sum it can't hold. */
  readonly inexact: Record<SumDType, number>;
  /** For each format: whether every value of the base is one it has. */
  readonly baseFits: Record<SumDType, boolean>;
  /** Comparable sums that use float32's last bits. */
  fineSums: number;
  /** Pairs with 4|d| <= |b|; there a delta made in its own format hardly ever uses its last bit. */
  quarter: number;
  /** Of those, the deltas that use it: about half of them where the delta was made in a wider format. */
  fineDeltas: number;
  products: number;
  /** Of a vector: pairs that aren't exact if the base is half, or twice, what it is. */
  readonly inexactIf: { halved: number; doubled: number };
  readonly base: SideFindings;
  readonly delta: SideFindings;
}

const noFindings = (): SideFindings => ({
  squares: 0,
  notFinite: 0,
  firstNotFinite: -1,
  zeroBytes: 0,
  firstZero: -1,
  places: 0,
  scatteredZeros: 0,
  textPlaces: 0,
  firstText: -1,
});

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

function bitsOfFloat32(value: number): number {
  scratch[0] = value;
  return scratchBits[0] as number;
}

/** Whether the format has a float32 number, of which these are the bits. */
function has(format: SumDType, value: number, bits: number): boolean {
  if (format === "F32") return true;
  // bfloat16 is the upper half of a float32.
  if (format === "BF16") return (bits & 0xffff) === 0;
  // Below 2^-14 float16 has the multiples of 2^-24, above it 10 bits of mantissa.
  const size = Math.abs(value);
  return size < 2 ** -14 ? Number.isInteger(value * 2 ** 24) : (bits & 0x1fff) === 0 && size <= 65504;
}

/** Whether b + d is a value of the format, where the lemma speaks of them. Sums of such numbers are exact in float64. */
function isSumExact(dtype: SumDType, b: number, d: number): boolean {
  if (2 * Math.abs(d) > Math.abs(b)) return true;
  const sum = b + d;
  return Math.fround(sum) === sum && has(dtype, sum, bitsOfFloat32(sum));
}

/** Elements counted in one call: V8 compiles what is called often better than what runs long. */
const PART_ELEMENTS = 2048;

/** Both sides and their sum as float32, and the sides' bits in the sum's dtype. */
interface Part {
  readonly bases: Float32Array;
  readonly deltas: Float32Array;
  readonly sums: Float32Array;
  readonly baseBits: Uint16Array | Uint32Array;
  readonly deltaBits: Uint16Array | Uint32Array;
}

const sumDTypeOf = (delta: FloatDType): SumDType => (delta === "F64" ? "F32" : delta);

export class TensorTally {
  readonly sample: TensorSample;
  readonly #narrower: readonly SumDType[];

  constructor(
    readonly kernel: Kernel,
    name: string,
    isMatrix: boolean,
    deltaDType: FloatDType,
  ) {
    const dtype = sumDTypeOf(deltaDType);
    this.sample = {
      ...{ name, isMatrix, dtype, sampled: 0, comparable: 0 },
      inexact: { BF16: 0, F16: 0, F32: 0 },
      baseFits: { BF16: true, F16: true, F32: true },
      ...{ fineSums: 0, quarter: 0, fineDeltas: 0, products: 0 },
      inexactIf: { halved: 0, doubled: 0 },
      base: noFindings(),
      delta: noFindings(),
    };
    this.#narrower = MADE_IN[dtype].filter((format) => format !== dtype);
  }

  /** Reads and counts `count` elements from `first` on, MAX_RUN_ELEMENTS at most. */
  add(base: OpenView, delta: OpenView, first: number, count: number): void {
    const { dtype } = this.sample;
    const { memory } = this.kernel;
    this.#read(base, first, count, BASE_AT, this.sample.base);
    this.#read(delta, first, count, DELTA_AT, this.sample.delta);
    memory.copyWithin(SUM_AT, DELTA_AT, DELTA_AT + count * bytesOf(dtype));
    this.sample.inexact[dtype] += this.kernel.add(dtype, BASE_AT, SUM_AT, SUM_AT, count).inexact;
    for (let from = 0; from < count; from += PART_ELEMENTS)
      this.#count(first + from, from * bytesOf(dtype), Math.min(PART_ELEMENTS, count - from));
  }

  #count(first: number, offset: number, count: number): void {
    const { sample } = this;
    const part = {
      bases: this.#asFloat32(BASE_AT + offset, BASE_F32_AT, count),
      deltas: this.#asFloat32(DELTA_AT + offset, DELTA_F32_AT, count),
      sums: this.#asFloat32(SUM_AT + offset, SUM_F32_AT, count),
      baseBits: this.#bitsAt(BASE_AT + offset, count),
      deltaBits: this.#bitsAt(DELTA_AT + offset, count),
    };
    const sizes = sizesOf(part);
    sample.sampled += sizes.sampled;
    sample.base.squares += sizes.baseSquares;
    sample.delta.squares += sizes.deltaSquares;
    sample.products += sizes.products;
    if (sizes.sampled < count) {
      countNotFinite(sample.base, part.bases, first);
      countNotFinite(sample.delta, part.deltas, first);
    }
    const { comparable, fineSums, quarter, fineDeltas } = countComparable(sample.dtype, part);
    sample.comparable += comparable;
    sample.fineSums += fineSums;
    sample.quarter += quarter;
    sample.fineDeltas += fineDeltas;
    for (const format of this.#narrower) {
      sample.baseFits[format] &&= fitsBase(format, part);
      sample.inexact[format] += countInexact(sample.dtype, format, part);
    }
    if (!sample.isMatrix) countInexactIf(sample, part);
  }

  #read(view: OpenView, first: number, count: number, at: number, findings: SideFindings): void {
    const { memory } = this.kernel;
    const size = bytesOf(view.dtype);
    gather(view, first, count, memory, WORK_AT);
    addDamage(findings, findDamage(memory, WORK_AT, count * size), first, size);
    this.#convert(view.dtype, this.sample.dtype, WORK_AT, at, count);
  }

  #bitsAt(at: number, count: number): Uint16Array | Uint32Array {
    const { buffer, byteOffset } = this.kernel.memory;
    return this.sample.dtype === "F32"
      ? new Uint32Array(buffer, byteOffset + at, count)
      : new Uint16Array(buffer, byteOffset + at, count);
  }

  #asFloat32(at: number, floatsAt: number, count: number): Float32Array {
    this.#convert(this.sample.dtype, "F32", at, floatsAt, count);
    return new Float32Array(this.kernel.memory.buffer, this.kernel.memory.byteOffset + floatsAt, count);
  }

  #convert(from: FloatDType, to: SumDType, source: number, destination: number, count: number): void {
    const { memory } = this.kernel;
    if (from === to) memory.copyWithin(destination, source, source + count * bytesOf(to));
    else this.kernel.convert(from, to, source, destination, count);
  }
}

const isFinitePair = (b: number, d: number) => Number.isFinite(b) && Number.isFinite(d);

// The loops count in variables: a fraction in a field is an object, made anew until the loop is compiled.

/** Of pairs of finite numbers. */
function sizesOf({ bases, deltas }: Part) {
  let [sampled, baseSquares, deltaSquares, products] = [0, 0, 0, 0];
  for (let i = 0; i < bases.length; i++) {
    const b = bases[i] as number;
    const d = deltas[i] as number;
    if (!isFinitePair(b, d)) continue;
    sampled++;
    baseSquares += b * b;
    deltaSquares += d * d;
    products += b * d;
  }
  return { sampled, baseSquares, deltaSquares, products };
}

function countComparable(dtype: SumDType, { deltas, sums, baseBits, deltaBits }: Part) {
  const bits = FORMAT_BITS[dtype];
  const lastBits = dtype === "F32" ? LAST_BITS : 0;
  const sumBits = new Uint32Array(sums.buffer, sums.byteOffset, sums.length);
  let [comparable, fineSums, quarter, fineDeltas] = [0, 0, 0, 0];
  for (let i = 0; i < deltas.length; i++) {
    const size = deltaBits[i] as number;
    if (deltas[i] === 0 || !isComparable(bits, baseBits[i] as number, size)) continue;
    comparable++;
    if (((sumBits[i] as number) & lastBits) !== 0) fineSums++;
    if (!isComparable(bits, baseBits[i] as number, size + bits.least)) continue;
    quarter++;
    fineDeltas += size & 1;
  }
  return { comparable, fineSums, quarter, fineDeltas };
}

function fitsBase(format: SumDType, { bases, deltas }: Part): boolean {
  const bits = new Uint32Array(bases.buffer, bases.byteOffset, bases.length);
  return bases.every((b, i) => !isFinitePair(b, deltas[i] as number) || has(format, b, bits[i] as number));
}

/** Comparable pairs whose sum a narrower format can't hold. */
function countInexact(
  dtype: SumDType,
  format: SumDType,
  { bases, deltas, sums, baseBits, deltaBits }: Part,
): number {
  const bits = FORMAT_BITS[dtype];
  const sumBits = new Uint32Array(sums.buffer, sums.byteOffset, sums.length);
  let inexact = 0;
  for (let i = 0; i < sums.length; i++) {
    const sum = sums[i] as number;
    // The rounded sum lies within [b/2, 2b], so this difference has no rounding of its own.
    const isExact = sum - (bases[i] as number) === deltas[i] && has(format, sum, sumBits[i] as number);
    if (!isExact && deltas[i] !== 0 && isComparable(bits, baseBits[i] as number, deltaBits[i] as number))
      inexact++;
  }
  return inexact;
}

function countInexactIf({ dtype, inexactIf }: TensorSample, { bases, deltas }: Part): void {
  for (let i = 0; i < bases.length; i++) {
    const b = bases[i] as number;
    const d = deltas[i] as number;
    if (!isFinitePair(b, d)) continue;
    if (!isSumExact(dtype, b / 2, d)) inexactIf.halved++;
    if (!isSumExact(dtype, b * 2, d)) inexactIf.doubled++;
  }
}

function countNotFinite(findings: SideFindings, numbers: Float32Array, first: number): void {
  for (let i = 0; i < numbers.length; i++) {
    if (Number.isFinite(numbers[i])) continue;
    findings.notFinite++;
    if (findings.firstNotFinite < 0) findings.firstNotFinite = first + i;
  }
}

function addDamage(findings: SideFindings, damage: Damage, first: number, elementBytes: number): void {
  const elementAt = (offset: number) => first + Math.floor(offset / elementBytes);
  findings.places += damage.places;
  findings.scatteredZeros += damage.scatteredZeros;
  findings.textPlaces += damage.textPlaces;
  if (damage.firstText !== null && findings.firstText < 0) findings.firstText = elementAt(damage.firstText);
  for (const { start, end } of damage.zeroRuns) {
    findings.zeroBytes += end - start;
    if (findings.firstZero < 0) findings.firstZero = elementAt(start);
  }
}
