/** Counts the elements whose bytes differ; `first` is the first of them, Infinity if there is none. */
export function countDifferent(
  a: Uint8Array,
  b: Uint8Array,
  elementBytes: number,
): { different: number; first: number } {
  let different = 0;
  let first = Number.POSITIVE_INFINITY;
  // Nearly always equal, at the speed of memcmp.
  if (Buffer.compare(a, b) === 0) return { different, first };
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) continue;
    const element = Math.floor(i / elementBytes);
    if (different++ === 0) first = element;
    i = (element + 1) * elementBytes - 1;
  }
  return { different, first };
}
