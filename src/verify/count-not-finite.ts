/**
 * Counts NaN and infinities by the bits of their exponents. Nearly always there are none, so whole words are looked at
 * first, four bytes at a time, and only a block that holds one is counted.
 */
import type { FloatDType } from "../tensor.js";

export interface NotFinite {
  readonly nan: number;
  readonly infinite: number;
}

const NONE: NotFinite = { nan: 0, infinite: 0 };

interface Layout {
  /** Bits of a word's exponents. All ones in one of them means not finite. */
  readonly exponents: number;
  /** Their lowest bits: added to exponents of all ones, they carry into `carries`. */
  readonly ones: number;
  /** The bits above the exponents, the signs'. */
  readonly carries: number;
}

const LAYOUTS: Record<Exclude<FloatDType, "F64">, Layout> = {
  F16: { exponents: 0x7c007c00, ones: 0x04000400, carries: 0x80008000 | 0 },
  BF16: { exponents: 0x7f807f80, ones: 0x00800080, carries: 0x80008000 | 0 },
  F32: { exponents: 0x7f800000, ones: 0x00800000, carries: 0x80000000 | 0 },
};

/** `at` is a multiple of the element's size within the buffer. */
export function countNotFinite(memory: Uint8Array, dtype: FloatDType, at: number, count: number): NotFinite {
  const { buffer } = memory;
  const start = memory.byteOffset + at;
  switch (dtype) {
    case "F64":
      return countDoubles(new Float64Array(buffer, start, count));
    case "F32": {
      const words = new Int32Array(buffer, start, count);
      return hasNotFinite(words, LAYOUTS.F32) ? countIn(words, 0x7f800000, 0x7fffffff) : NONE;
    }
    default: {
      const halves = new Uint16Array(buffer, start, count);
      // Words begin at multiples of four; a half before and one behind them are looked at by themselves.
      const lead = start % 4 === 0 || count === 0 ? 0 : 1;
      const pairs = Math.floor((count - lead) / 2);
      const { exponents } = LAYOUTS[dtype];
      const exponent = exponents & 0xffff;
      const ends = [halves[0] ?? 0, halves[count - 1] ?? 0];
      const isClean =
        ends.every((half) => (half & exponent) !== exponent) &&
        !hasNotFinite(new Int32Array(buffer, start + 2 * lead, pairs), LAYOUTS[dtype]);
      return isClean ? NONE : countIn(halves, exponent, 0x7fff);
    }
  }
}

function hasNotFinite(words: Int32Array, { exponents, ones, carries }: Layout): boolean {
  let seen = 0;
  for (let i = 0; i < words.length; i++) seen |= ((words[i] as number) & exponents) + ones;
  return (seen & carries) !== 0;
}

/** `exponent`: that of infinity; `magnitude`: all bits but the sign's. */
function countIn(values: Uint16Array | Int32Array, exponent: number, magnitude: number): NotFinite {
  let nan = 0;
  let infinite = 0;
  for (const value of values) {
    if ((value & exponent) !== exponent) continue;
    if ((value & magnitude) === exponent) infinite++;
    else nan++;
  }
  return { nan, infinite };
}

function countDoubles(values: Float64Array): NotFinite {
  let nan = 0;
  let infinite = 0;
  for (const value of values) {
    if (Number.isFinite(value)) continue;
    if (Number.isNaN(value)) nan++;
    else infinite++;
  }
  return { nan, infinite };
}
