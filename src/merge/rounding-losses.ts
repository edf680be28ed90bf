/**
 * What a delta loses of its model: rounding keeps base + delta from always giving the tuned model back
 * (docs/architecture.md, "Making a delta"). Every bit counts but those of NaN, of which all are one.
 */
import { FORMAT_BITS } from "../kernel/reference.js";
import type { SumDType } from "../tensor.js";

/** Losses among some elements; `first` is meaningless where there are none. */
export interface Losses {
  readonly elements: number;
  /** Of those, zeros that lose their sign. */
  readonly zeroSigns: number;
  readonly first: number;
}

/** Compares `count` elements at two byte offsets, both multiples of 4. */
export function countLosses(
  dtype: SumDType,
  memory: Uint8Array,
  tunedAt: number,
  restoredAt: number,
  count: number,
): Losses {
  const perWord = dtype === "F32" ? 1 : 2;
  const wordCount = Math.ceil(count / perWord);
  const wordsAt = (at: number) => new Int32Array(memory.buffer, memory.byteOffset + at, wordCount);
  const [tuned, restored] = [wordsAt(tunedAt), wordsAt(restoredAt)];
  const { magnitude, infinity } = FORMAT_BITS[dtype];
  const losses = { elements: 0, zeroSigns: 0, first: 0 };
  const compare = (index: number, was: number, is: number) => {
    if (was === is || index >= count) return;
    const [wasSize, isSize] = [was & magnitude, is & magnitude];
    if (wasSize > infinity && isSize > infinity) return;
    if (losses.elements === 0) losses.first = index;
    if (wasSize === 0 && isSize === 0) losses.zeroSigns++;
    losses.elements++;
  };
  // Whole words first: nearly all are equal.
  for (
    let i = nextDifference(tuned, restored, 0);
    i < wordCount;
    i = nextDifference(tuned, restored, i + 1)
  ) {
    const [was, is] = [tuned[i] as number, restored[i] as number];
    if (perWord === 1) {
      compare(i, was, is);
    } else {
      compare(2 * i, was & 0xffff, is & 0xffff);
      compare(2 * i + 1, was >>> 16, is >>> 16);
    }
  }
  return losses;
}

/** The first index from `start` on where the two differ; their length where they don't. */
function nextDifference(a: Int32Array, b: Int32Array, start: number): number {
  let i = start;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
}
